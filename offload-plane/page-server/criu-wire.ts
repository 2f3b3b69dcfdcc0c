/**
 * CRIU's page-server wire as of version 4.2: 32-byte little-endian headers {u32 command, u32 padding,
 * u64 page count, u64 address, u64 target}. The command's low half says what, its high half carries a
 * pagemap entry's flags; the target's low byte says of which kind it is.
 */
import { OffloadError } from '../../platform/errors.ts';
import type { PageTarget } from '../page-store/contract.ts';
import { MAX_SHMEM_ID, MAX_TASK_ID } from '../page-store/limits.ts';

export const CRIU_HEADER_BYTES = 32;

export const CriuCommand = {
  ADD: 1,
  HOLE: 2,
  OPEN: 3,
  OPEN2: 4,
  PARENT: 5,
  ADD_F: 6,
  GET: 7,
  CLOSE: 0x1023,
  FORCE_CLOSE: 0x1024,
} as const;

/** Flags of a pagemap entry. */
export const PagemapFlag = { PARENT: 1, LAZY: 2, PRESENT: 4 } as const;

const TYPE_TASK = 1;
const TYPE_SHMEM = 2;

export interface CriuHeader {
  command: number;
  flags: number;
  pageCount: bigint;
  vaddr: bigint;
  /** Encoded id for OPEN, ADD and PARENT; a plain pid for GET. */
  target: bigint;
}

export function decodeCriuHeader(source: Buffer): CriuHeader {
  const word = source.readUInt32LE(0);
  return {
    command: word & 0xffff,
    flags: word >>> 16,
    pageCount: source.readBigUInt64LE(8),
    vaddr: source.readBigUInt64LE(16),
    target: source.readBigUInt64LE(24),
  };
}

export function encodeCriuHeader(header: CriuHeader, into = Buffer.alloc(CRIU_HEADER_BYTES)): Buffer {
  into.writeUInt32LE(((header.flags << 16) | header.command) >>> 0, 0);
  into.writeUInt32LE(0, 4);
  into.writeBigUInt64LE(header.pageCount, 8);
  into.writeBigUInt64LE(header.vaddr, 16);
  into.writeBigUInt64LE(header.target, 24);
  return into;
}

export function encodeCriuTarget(target: PageTarget): bigint {
  return (BigInt(target.id) << 8n) | BigInt(target.kind === 'task' ? TYPE_TASK : TYPE_SHMEM);
}

/** @throws {OffloadError} page_protocol_violation */
export function decodeCriuTarget(target: bigint): PageTarget {
  const type = Number(target & 0xffn);
  const id = target >> 8n;
  if (type === TYPE_TASK && id >= 1n && id <= BigInt(MAX_TASK_ID)) return { kind: 'task', id: Number(id) };
  if (type === TYPE_SHMEM && id <= BigInt(MAX_SHMEM_ID)) {
    return { kind: 'shmem', id: Number(id) };
  }
  throw criuViolation(`target 0x${target.toString(16)} is neither a task nor a shared memory`);
}

export function criuViolation(what: string): OffloadError {
  return new OffloadError('page_protocol_violation', `CRIU page server: ${what}`);
}
