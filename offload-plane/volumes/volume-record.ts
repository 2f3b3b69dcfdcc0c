/** What the store keeps of a volume, and what it tells of it. */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Static, Type } from 'typebox';
import { Value } from 'typebox/value';

export const DATA_FILE = 'data.ext4';
export const RECORD_FILE = 'volume.json';
const STAT_BLOCK_BYTES = 512;

/** volume.json */
export const StoredVolume = Type.Object(
  {
    formatVersion: Type.Literal(1),
    name: Type.String(),
    sizeBytes: Type.Integer({ minimum: 1 }),
    /** All of its size was taken from the device at once. */
    reserved: Type.Boolean(),
    createdAt: Type.String(),
  },
  { additionalProperties: false },
);
export type StoredVolume = Static<typeof StoredVolume>;

export interface VolumeRecord {
  name: string;
  sizeBytes: number;
  /** What it takes of the device now. */
  usedBytes: number;
  reserved: boolean;
  /** ISO 8601. */
  createdAt: string;
  /** The block image, to be attached to one guest at a time. */
  path: string;
}

/** The volume in a directory; undefined when it is not whole. */
export async function readStoredVolume(directory: string): Promise<StoredVolume | undefined> {
  try {
    const value: unknown = JSON.parse(await readFile(join(directory, RECORD_FILE), 'utf8'));
    if (!Value.Check(StoredVolume, value)) return undefined;
    const { size } = await stat(join(directory, DATA_FILE));
    return size === value.sizeBytes ? value : undefined;
  } catch {
    return undefined;
  }
}

export async function recordOf(directory: string, stored: StoredVolume): Promise<VolumeRecord> {
  const { name, sizeBytes, reserved, createdAt } = stored;
  const path = join(directory, DATA_FILE);
  const { blocks } = await stat(path);
  return { name, sizeBytes, usedBytes: blocks * STAT_BLOCK_BYTES, reserved, createdAt, path };
}
