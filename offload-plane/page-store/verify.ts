/**
 * Reads a pages file back and compares every page with its checksum, before anyone relies on it. Reads
 * pass the page cache by (O_DIRECT) where the file system can, so that it is the device that answers.
 */
import type { FileHandle } from 'node:fs/promises';
import { OffloadError } from '../../platform/errors.ts';
import { MIB } from '../../platform/units.ts';
import { xxh64At } from '../../platform/xxhash.ts';
import { alignedBuffer, openDirect } from './direct-reads.ts';
import type { StoreFileSystem } from './file-system.ts';
import { PAGE_BYTES } from './limits.ts';

const READ_BYTES = MIB;

/** @throws {OffloadError} internal, naming the first page that did not come back as it was written. */
export async function verifyPagesFile(
  fs: StoreFileSystem,
  path: string,
  checksums: BigUint64Array,
  subject: string,
): Promise<void> {
  if (checksums.length === 0) return;
  const file = await openDirect(fs, path);
  try {
    // Two buffers: one is read into while the other is hashed.
    const buffers = [alignedBuffer(READ_BYTES), alignedBuffer(READ_BYTES)] as const;
    const totalBytes = checksums.length * PAGE_BYTES;
    let pending = readBlock(file, buffers[0], 0, totalBytes);
    for (let offset = 0, turn = 0; offset < totalBytes; offset += READ_BYTES, turn ^= 1) {
      const bytes = await pending;
      const next = offset + READ_BYTES;
      if (next < totalBytes) pending = readBlock(file, buffers[turn === 0 ? 1 : 0], next, totalBytes);
      checkBlock(buffers[turn === 0 ? 0 : 1], bytes, offset / PAGE_BYTES, checksums, subject, pending);
    }
  } finally {
    await file.close();
  }
}

async function readBlock(
  file: FileHandle,
  into: Buffer,
  offset: number,
  totalBytes: number,
): Promise<number> {
  const wanted = Math.min(READ_BYTES, totalBytes - offset);
  let done = 0;
  while (done < wanted) {
    const { bytesRead } = await file.read(into, done, wanted - done, offset + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return done;
}

function checkBlock(
  block: Buffer,
  bytes: number,
  firstPage: number,
  checksums: BigUint64Array,
  subject: string,
  pending: Promise<number>,
): void {
  const expectedPages = Math.min(READ_BYTES / PAGE_BYTES, checksums.length - firstPage);
  for (let i = 0; i < expectedPages; i++) {
    const offset = i * PAGE_BYTES;
    const whole = offset + PAGE_BYTES <= bytes;
    if (whole && xxh64At(block, offset, PAGE_BYTES) === checksums[firstPage + i]) continue;
    pending.catch(() => {}); // a read under way must not end as an unhandled rejection
    throw new OffloadError(
      'internal',
      `page store commit ${subject}: page ${firstPage + i} of the pages file did not read back as written`,
    );
  }
}
