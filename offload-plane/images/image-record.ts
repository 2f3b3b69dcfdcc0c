/** What the store keeps of an image, and what it tells of it. */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Static, Type } from 'typebox';
import { Value } from 'typebox/value';

const strict = { additionalProperties: false } as const;

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
  /** The first of its names; its digest when it has none left. */
  name: string;
  names: string[];
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
