/**
 * The order log's bytes. Little-endian: magic "OFPORDER", u32 version, u32 entry count, the checkpoint's
 * digest (32 bytes), then entries of 24 bytes {u32 task, u32 0, u64 vaddr, u64 time in microseconds},
 * then u64 XXH64 over everything before it.
 */
import { xxh64 } from '../../platform/xxhash.ts';
import type { OrderEntry, OrderLogBytes, OrderLogIgnored } from './contract.ts';

const MAGIC = Buffer.from('OFPORDER');
const ORDER_VERSION = 1;
const HEADER_BYTES = 48;
export const ENTRY_BYTES = 24;
const CHECKSUM_BYTES = 8;
/** Later than any container runs, and exact as a number. */
const MAX_TIME_US = Number.MAX_SAFE_INTEGER;

export interface DecodedOrder {
  digest: string;
  entries: OrderEntry[];
}

/** `digest`: the checkpoint's, 64 hex digits. */
export function encodeOrder(digest: string, entries: readonly OrderEntry[]): OrderLogBytes {
  const endOfEntries = HEADER_BYTES + entries.length * ENTRY_BYTES;
  const bytes = Buffer.alloc(endOfEntries + CHECKSUM_BYTES);
  MAGIC.copy(bytes);
  bytes.writeUInt32LE(ORDER_VERSION, 8);
  bytes.writeUInt32LE(entries.length, 12);
  bytes.write(digest, 16, 'hex');
  for (const [i, entry] of entries.entries()) encodeEntry(bytes, HEADER_BYTES + i * ENTRY_BYTES, entry);
  bytes.writeBigUInt64LE(xxh64(bytes.subarray(0, endOfEntries)), endOfEntries);
  return bytes;
}

export function encodeEntry(bytes: Buffer, offset: number, { task, vaddr, timeUs }: OrderEntry): void {
  bytes.writeUInt32LE(task, offset);
  bytes.writeBigUInt64LE(vaddr, offset + 8);
  bytes.writeBigUInt64LE(BigInt(Math.min(Math.round(timeUs), MAX_TIME_US)), offset + 16);
}

export const decodeEntry = (bytes: Buffer, offset: number): OrderEntry => ({
  task: bytes.readUInt32LE(offset),
  vaddr: bytes.readBigUInt64LE(offset + 8),
  timeUs: Math.min(Number(bytes.readBigUInt64LE(offset + 16)), MAX_TIME_US),
});

/** What the bytes say, or why they say nothing. Never throws: a log is a hint. */
export function decodeOrder(bytes: OrderLogBytes): DecodedOrder | OrderLogIgnored {
  if (bytes.length < HEADER_BYTES + CHECKSUM_BYTES || !bytes.subarray(0, 8).equals(MAGIC)) return 'corrupt';
  if (bytes.readUInt32LE(8) !== ORDER_VERSION) return 'unknown_version';
  const count = bytes.readUInt32LE(12);
  const endOfEntries = HEADER_BYTES + count * ENTRY_BYTES;
  if (bytes.length !== endOfEntries + CHECKSUM_BYTES) return 'corrupt';
  if (bytes.readBigUInt64LE(endOfEntries) !== xxh64(bytes.subarray(0, endOfEntries))) return 'corrupt';
  const entries: OrderEntry[] = [];
  for (let offset = HEADER_BYTES; offset < endOfEntries; offset += ENTRY_BYTES) {
    entries.push(decodeEntry(bytes, offset));
  }
  return { digest: bytes.toString('hex', 16, 48), entries };
}
