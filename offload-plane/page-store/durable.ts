/**
 * Writing so that it is still there after a power cut: a file's bytes are on the device after its own
 * fsync, its name only after the fsync of its directory.
 */
import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { OffloadError } from '../../platform/errors.ts';

/** What the device says when it is full, whoever set the limit. */
const FULL = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);

/** A file system error as one of ours: a full device is `no_space`, anything else `internal`. */
export function toStoreError(error: unknown, operation: string, subject: string): OffloadError {
  if (error instanceof OffloadError) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  const cause = code ?? message;
  if (code !== undefined && FULL.has(code)) {
    return new OffloadError('no_space', `${operation} ${subject}: no space left on the device (${cause})`, {
      cause: error,
    });
  }
  return new OffloadError('internal', `${operation} ${subject}: ${cause}`, { cause: error });
}

export async function syncFile(path: string): Promise<void> {
  const file = await open(path, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

/** A directory is synced like a file: its entries are its bytes. */
export const syncDirectory = syncFile;

/** Replaces `path` in one step: whoever looks sees the old bytes or the new, never a part. */
export async function replaceFile(path: string, bytes: Buffer | string): Promise<void> {
  const temporary = `${path}.tmp`;
  try {
    const file = await open(temporary, 'w');
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncDirectory(dirname(path));
}
