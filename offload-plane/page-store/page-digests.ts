/** Digests of frames and of memory, from the checksums of pages: nothing is read or hashed again. */
import { xxh64, xxh64At } from '../../platform/xxhash.ts';
import type { CheckpointFiles } from './checkpoint-files.ts';
import type { TargetRange } from './contract.ts';
import { addDigests, pageContribution } from './digests.ts';
import { PAGE_BYTES } from './limits.ts';

export const ZERO_PAGE_DIGEST = xxh64At(Buffer.alloc(PAGE_BYTES), 0, PAGE_BYTES);

/** XXH64 over the pages' digests. */
export function frameDigest(files: CheckpointFiles, { target, vaddr, pageCount }: TargetRange): bigint {
  const pieces = files.lookup.pieces(target, vaddr, pageCount);
  const { checksums } = files;
  const only = pieces.length === 1 && !pieces[0]!.zero ? pieces[0] : undefined;
  if (only !== undefined) return xxh64(bytesOf(checksums, only.storedPage, pageCount));
  const digests = new BigUint64Array(pageCount);
  let at = 0;
  for (const piece of pieces) {
    if (piece.zero) digests.fill(ZERO_PAGE_DIGEST, at, at + piece.pageCount);
    else digests.set(checksums.subarray(piece.storedPage, piece.storedPage + piece.pageCount), at);
    at += piece.pageCount;
  }
  return xxh64(bytesOf(digests, 0, pageCount));
}

/** Sum over the pages that are not zero, as page-protocol.h defines it. */
export function memoryDigest(files: CheckpointFiles, ranges: readonly TargetRange[]): bigint {
  let sum = 0n;
  for (const { target, vaddr, pageCount } of ranges) {
    let at = vaddr;
    for (const piece of files.lookup.pieces(target, vaddr, pageCount)) {
      for (let i = 0; i < piece.pageCount; i++, at += BigInt(PAGE_BYTES)) {
        if (piece.zero) continue;
        const digest = files.checksums[piece.storedPage + i]!;
        sum = addDigests(sum, pageContribution(digest, target.kind, target.id, at));
      }
    }
  }
  return sum;
}

function bytesOf(digests: BigUint64Array, first: number, count: number): Uint8Array {
  return new Uint8Array(digests.buffer, digests.byteOffset + first * 8, count * 8);
}
