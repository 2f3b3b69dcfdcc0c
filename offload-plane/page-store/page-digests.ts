/** Digests of frames and of memory, from the checksums of pages: nothing is read or hashed again. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { xxh64, xxh64At } from '../../platform/xxhash.ts';
import type { CheckpointFiles } from './checkpoint-files.ts';
import { type Segment, type TargetRange, ZERO_PAGE } from './contract.ts';
import { addDigests, pageContribution, subtractDigests } from './digests.ts';
import { PAGE_BYTES } from './limits.ts';

export const ZERO_PAGE_DIGEST = xxh64At(Buffer.alloc(PAGE_BYTES), 0, PAGE_BYTES);
/** Some 2 ms. */
const PAGES_PER_TURN = 4096;

/** XXH64 over the pages' digests. */
export function frameDigest({ checksums }: CheckpointFiles, storedPages: Uint32Array): bigint {
  const digests = new BigUint64Array(storedPages.length);
  for (let i = 0; i < storedPages.length; i++) {
    const page = storedPages[i]!;
    digests[i] = page === ZERO_PAGE ? ZERO_PAGE_DIGEST : checksums[page]!;
  }
  return xxh64(new Uint8Array(digests.buffer));
}

/** Sum over the pages that are not zero, as page-protocol.h defines it. */
export function memoryDigest(files: CheckpointFiles, ranges: readonly TargetRange[]): bigint {
  let sum = 0n;
  for (const { target, vaddr, pageCount } of ranges) {
    for (const piece of files.lookup.pieces(target, vaddr, pageCount)) {
      if (!piece.zero) sum = addDigests(sum, digestOf(files, piece.storedPage, piece.pageCount));
    }
  }
  return sum;
}

/** Of pages of one segment. */
function digestOf(files: CheckpointFiles, storedPage: number, pageCount: number): bigint {
  const { digestSums } = files;
  if (digestSums !== undefined)
    return subtractDigests(digestSums[storedPage + pageCount]!, digestSums[storedPage]!);
  const segment = files.lookup.storedSegment(storedPage);
  let sum = 0n;
  for (let i = 0; i < pageCount; i++) sum = addDigests(sum, contributionOf(files, segment, storedPage + i));
  return sum;
}

function contributionOf({ checksums }: CheckpointFiles, segment: Segment, storedPage: number): bigint {
  const { kind, id, vaddr, firstStoredPage } = segment;
  const at = vaddr + BigInt((storedPage - firstStoredPage) * PAGE_BYTES);
  return pageContribution(checksums[storedPage]!, kind, id, at);
}

/** Once for all readers; it is given up with the files. */
export function prepareDigestSums(files: CheckpointFiles): Promise<void> {
  files.summing ??= sumDigests(files).then((sums) => {
    files.digestSums = sums;
  });
  return files.summing;
}

/** The memory digest of all stored pages before each. */
async function sumDigests(files: CheckpointFiles): Promise<BigUint64Array> {
  const sums = new BigUint64Array(files.index.storedPageCount + 1);
  let sum = 0n;
  let page = 0;
  for (const segment of files.lookup.storedSegments) {
    while (page < segment.firstStoredPage) sums[++page] = sum; // of no segment
    for (const end = segment.firstStoredPage + segment.pageCount; page < end; ) {
      sum = addDigests(sum, contributionOf(files, segment, page));
      sums[++page] = sum;
      if (page % PAGES_PER_TURN === 0) await nextTurn();
    }
  }
  return sums;
}
