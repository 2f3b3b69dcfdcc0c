/**
 * Writing so that it is still there after a power cut: a file's bytes are on the device after its own
 * fsync, its name only after the fsync of its directory.
 */
import type { FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { OffloadError } from '../../platform/errors.ts';
import type { StoreFileSystem } from './file-system.ts';

/** Of a file that is about to take the place of another. */
export const TEMPORARY_SUFFIX = '.tmp';

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

/** Goes on after a short write, which is what a device gives just before it is full. */
export async function writeFully(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done);
    if (bytesWritten === 0) throw Object.assign(new Error('a write took no byte'), { code: 'EIO' });
    done += bytesWritten;
  }
}

/** A directory is synced like a file: its entries are its bytes. */
export async function syncDirectory(fs: StoreFileSystem, path: string): Promise<void> {
  const file = await fs.open(path, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Replaces `path` in one step: whoever looks sees the old bytes or the new, never a part. */
export async function replaceFile(
  fs: StoreFileSystem,
  path: string,
  write: Uint8Array | ((file: FileHandle) => Promise<void>),
): Promise<void> {
  const temporary = `${path}${TEMPORARY_SUFFIX}`;
  try {
    const file = await fs.open(temporary, 'w');
    try {
      if (typeof write === 'function') await write(file);
      else await writeFully(file, write, 0);
      await file.sync();
    } finally {
      await file.close();
    }
    await fs.rename(temporary, path);
  } catch (error) {
    await removeTree(fs, temporary);
    throw error;
  }
  await syncDirectory(fs, dirname(path));
}

/** Removes what is there; tries twice, and tells whether it is gone. Never throws. */
export async function removeTree(fs: StoreFileSystem, path: string): Promise<boolean> {
  for (let attempt = 0; attempt < 2; attempt++) {
    try {
      await fs.rm(path, { recursive: true, force: true });
      return true;
    } catch {
      // once more; what stays is removed when the store opens
    }
  }
  return false;
}
