/** Digests made from page digests alone: no page has to be read for them. page-protocol.h defines them. */
import { xxh64 } from '../../platform/xxhash.ts';

const U64 = (1n << 64n) - 1n;
/** { page digest, task, address } and the bytes of them. */
const scratch = new BigUint64Array(3);
const scratchBytes = new Uint8Array(scratch.buffer);

/** Added to the task number of a shared memory page, so that it never equals a task's. */
const SHMEM_BIT = 1n << 63n;

/** What one page adds to a memory digest. */
export function pageContribution(
  pageDigest: bigint,
  kind: 'task' | 'shmem',
  id: number,
  vaddr: bigint,
): bigint {
  scratch[0] = pageDigest;
  scratch[1] = kind === 'task' ? BigInt(id) : BigInt(id) | SHMEM_BIT;
  scratch[2] = vaddr;
  return xxh64(scratchBytes);
}

export const addDigests = (a: bigint, b: bigint): bigint => (a + b) & U64;
export const subtractDigests = (a: bigint, b: bigint): bigint => (a - b) & U64;
