/** What the store keeps of an image, and what it tells of it. */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Static, Type } from 'typebox';
import { Value } from 'typebox/value';

const strict = { additionalProperties: false } as const;

/** How the image wants its containers to be looked after; absent times are the plane's to choose. */
export const ImageHealthcheck = Type.Object(
  {
    /** Run in the container; exit code 0 is healthy. */
    command: Type.Array(Type.String(), { minItems: 1 }),
    intervalMs: Type.Optional(Type.Integer({ minimum: 1 })),
    timeoutMs: Type.Optional(Type.Integer({ minimum: 1 })),
    startPeriodMs: Type.Optional(Type.Integer({ minimum: 1 })),
    retries: Type.Optional(Type.Integer({ minimum: 1 })),
  },
  strict,
);
export type ImageHealthcheck = Static<typeof ImageHealthcheck>;

/** What a container made from the image runs, in the words of the agent's API. */
export const ImageRunConfig = Type.Object(
  {
    /** Entrypoint and Cmd of the image, one after the other; empty when the image has neither. */
    command: Type.Array(Type.String()),
    env: Type.Array(Type.String()),
    workingDir: Type.String(),
    /** `uid:gid`, names already looked up in the image's own /etc/passwd. */
    user: Type.String({ pattern: '^[0-9]+:[0-9]+$' }),
    /** TCP ports only, ascending: the plane carries streams. */
    exposedPorts: Type.Array(Type.Integer({ minimum: 1, maximum: 65_535 })),
    /** The part of `command` that stays when a container is given a command of its own. */
    entrypoint: Type.Optional(Type.Array(Type.String())),
    labels: Type.Optional(Type.Record(Type.String(), Type.String())),
    /** What asks a container to end, where it is not SIGTERM. */
    stopSignal: Type.Optional(Type.String({ pattern: '^SIG[A-Z0-9+-]{1,12}$' })),
    healthcheck: Type.Optional(ImageHealthcheck),
  },
  strict,
);
export type ImageRunConfig = Static<typeof ImageRunConfig>;

/** record.json: written last into an image's directory, so a directory without it is no image. */
export const StoredRecord = Type.Object(
  {
    formatVersion: Type.Literal(1),
    digest: Type.String({ pattern: '^sha256:[0-9a-f]{64}$' }),
    createdAt: Type.String(),
    rootfsBytes: Type.Integer({ minimum: 512 }),
    config: ImageRunConfig,
  },
  strict,
);
export type StoredRecord = Static<typeof StoredRecord>;

export interface ImageRecord {
  /** The first of its names; without any the first of its `repoDigests`, then its digest. */
  name: string;
  names: string[];
  /** `repository@digest` for each registry it was pulled from. */
  repoDigests: string[];
  /** sha256 of the image's manifest. */
  digest: string;
  /** When it was imported, ISO 8601. */
  createdAt: string;
  /** The read-only block image, to be attached to a guest. */
  rootfsPath: string;
  rootfsBytes: number;
  config: ImageRunConfig;
}

export const ROOTFS_FILE = 'rootfs.erofs';
export const CONFIG_FILE = 'config.json';
export const RECORD_FILE = 'record.json';

/** Directory of an image below the store's: the hexadecimal digits of its digest. */
export function imageDirectoryName(digest: string): string {
  return digest.slice('sha256:'.length);
}

/** The record in an image's directory; undefined when it is not whole. */
export async function readStoredRecord(directory: string): Promise<StoredRecord | undefined> {
  try {
    const value: unknown = JSON.parse(await readFile(join(directory, RECORD_FILE), 'utf8'));
    if (!Value.Check(StoredRecord, value)) return undefined;
    const { size } = await stat(join(directory, ROOTFS_FILE));
    return size === value.rootfsBytes ? value : undefined;
  } catch {
    return undefined;
  }
}
