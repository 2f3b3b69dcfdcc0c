/**
 * The `working-set` file: the pages of the order log in its order, so that a restore reads them in one go.
 * Little-endian. Header, 64 bytes: magic "OFPWKSET", u32 version, u32 run count, u64 page count, the
 * checkpoint's digest (32 bytes), u64 XXH64 over the header before it and the runs. Then runs, 16 bytes:
 * u32 task, u32 page count, u64 address. Then, from the next multiple of 4096 bytes, the pages. Their
 * checksums are the checkpoint's own: a page has to be the right one, not only a whole one.
 */
import { xxh64 } from '../../platform/xxhash.ts';
import { PAGE_BYTES } from './limits.ts';

const MAGIC = Buffer.from('OFPWKSET');
const WORKING_SET_VERSION = 1;
export const WORKING_SET_HEADER_BYTES = 64;
const CHECKSUM_OFFSET = 56;
const RUN_BYTES = 16;
/** More runs than an order log can have. */
const MAX_RUNS = 1 << 20;

export interface TaskRun {
  task: number;
  vaddr: bigint;
  pageCount: number;
}

export const workingSetTableBytes = (runCount: number): number =>
  Math.ceil((WORKING_SET_HEADER_BYTES + runCount * RUN_BYTES) / PAGE_BYTES) * PAGE_BYTES;

/** Everything before the pages. */
export function encodeWorkingSetTable(digest: string, runs: readonly TaskRun[]): Buffer {
  const bytes = Buffer.alloc(workingSetTableBytes(runs.length));
  MAGIC.copy(bytes);
  bytes.writeUInt32LE(WORKING_SET_VERSION, 8);
  bytes.writeUInt32LE(runs.length, 12);
  bytes.writeBigUInt64LE(BigInt(runs.reduce((sum, { pageCount }) => sum + pageCount, 0)), 16);
  bytes.write(digest, 24, 'hex');
  runs.forEach(({ task, vaddr, pageCount }, i) => {
    const offset = WORKING_SET_HEADER_BYTES + i * RUN_BYTES;
    bytes.writeUInt32LE(task, offset);
    bytes.writeUInt32LE(pageCount, offset + 4);
    bytes.writeBigUInt64LE(vaddr, offset + 8);
  });
  bytes.writeBigUInt64LE(checksumOf(bytes, runs.length), CHECKSUM_OFFSET);
  return bytes;
}

/** The run count a header names; undefined when it is none, of another version or of another checkpoint. */
export function decodeWorkingSetHeader(bytes: Buffer, digest: string): number | undefined {
  if (bytes.length < WORKING_SET_HEADER_BYTES || !bytes.subarray(0, 8).equals(MAGIC)) return undefined;
  if (bytes.readUInt32LE(8) !== WORKING_SET_VERSION || bytes.toString('hex', 24, 56) !== digest)
    return undefined;
  const runCount = bytes.readUInt32LE(12);
  return runCount > 0 && runCount <= MAX_RUNS ? runCount : undefined;
}

/** Whole table in, runs out; undefined when it is damaged. */
export function decodeWorkingSetRuns(bytes: Buffer, runCount: number): TaskRun[] | undefined {
  if (bytes.length < workingSetTableBytes(runCount)) return undefined;
  if (bytes.readBigUInt64LE(CHECKSUM_OFFSET) !== checksumOf(bytes, runCount)) return undefined;
  return Array.from({ length: runCount }, (_, i) => {
    const offset = WORKING_SET_HEADER_BYTES + i * RUN_BYTES;
    return {
      task: bytes.readUInt32LE(offset),
      pageCount: bytes.readUInt32LE(offset + 4),
      vaddr: bytes.readBigUInt64LE(offset + 8),
    };
  });
}

function checksumOf(bytes: Buffer, runCount: number): bigint {
  const end = WORKING_SET_HEADER_BYTES + runCount * RUN_BYTES;
  return xxh64(
    Buffer.concat([bytes.subarray(0, CHECKSUM_OFFSET), bytes.subarray(WORKING_SET_HEADER_BYTES, end)]),
  );
}
