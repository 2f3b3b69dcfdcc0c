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
const ENTRY_BYTES = 24;
const CHECKSUM_BYTES = 8;
/** Later than any container runs, and exact as a number. */
const MAX_TIME_US = BigInt(Number.MAX_SAFE_INTEGER);

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
  entries.forEach((entry, i) => {
    const offset = HEADER_BYTES + i * ENTRY_BYTES;
    bytes.writeUInt32LE(entry.task, offset);
    bytes.writeBigUInt64LE(entry.vaddr, offset + 8);
    bytes.writeBigUInt64LE(BigInt(Math.round(entry.timeUs)), offset + 16);
  });
  bytes.writeBigUInt64LE(xxh64(bytes.subarray(0, endOfEntries)), endOfEntries);
  return bytes;
}

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
    const timeUs = bytes.readBigUInt64LE(offset + 16);
    entries.push({
      task: bytes.readUInt32LE(offset),
      vaddr: bytes.readBigUInt64LE(offset + 8),
      timeUs: Number(timeUs < MAX_TIME_US ? timeUs : MAX_TIME_US),
    });
  }
  return { digest: bytes.toString('hex', 16, 48), entries };
}
