/** What a store finds in its directory when it is opened. */
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { NAMES_FILE } from './image-names.ts';
import { imageDirectoryName, readStoredRecord, type StoredRecord } from './image-record.ts';

/** Directories under these names are being built, or taken away. */
export const STAGING_PREFIX = '.import-';
export const TRASH_PREFIX = '.trash-';

/** The part of a pino logger that the store uses. */
export interface ImageStoreLogger {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

/** Reads what is whole, removes what is not. */
export async function loadImages(
  directory: string,
  logger: ImageStoreLogger | undefined,
): Promise<Map<string, StoredRecord>> {
  const images = new Map<string, StoredRecord>();
  for (const name of await readdir(directory)) {
    const path = join(directory, name);
    const isImage = /^[0-9a-f]{64}$/.test(name);
    const stored = isImage ? await readStoredRecord(path) : undefined;
    if (stored && imageDirectoryName(stored.digest) === name) {
      images.set(stored.digest, stored);
    } else if (
      isImage ||
      name.startsWith(STAGING_PREFIX) ||
      name.startsWith(TRASH_PREFIX) ||
      name === `${NAMES_FILE}.new`
    ) {
      logger?.warn({ path }, 'unfinished image removed');
      await rm(path, { recursive: true, force: true, maxRetries: 3 });
    }
  }
  return images;
}
