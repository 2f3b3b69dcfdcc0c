/** The index that offload-memcheck reads: { u32 task, u32 pageCount, u64 vaddr, u64 digest[pageCount] }, little-endian. */
import { Readable } from 'node:stream';
import { PAGE_BYTES } from '../../interconnect/page-protocol.ts';
import type { CheckpointReader, Segment } from '../page-store/contract.ts';

const RECORD_HEADER_BYTES = 16;
const MAX_PAGES_PER_RECORD = 65_536;

export function memoryIndex(reader: CheckpointReader): Readable {
  return Readable.from(records(reader));
}

function* records(reader: CheckpointReader): Generator<Buffer> {
  for (const segment of reader.segments()) {
    if (segment.kind !== 'task') continue;
    for (let first = 0; first < segment.pageCount; first += MAX_PAGES_PER_RECORD) {
      yield record(reader, segment, first, Math.min(MAX_PAGES_PER_RECORD, segment.pageCount - first));
    }
  }
}

function record(reader: CheckpointReader, segment: Segment, first: number, pageCount: number): Buffer {
  const vaddr = segment.vaddr + BigInt(first * PAGE_BYTES);
  const bytes = Buffer.allocUnsafe(RECORD_HEADER_BYTES + pageCount * 8);
  bytes.writeUInt32LE(segment.id, 0);
  bytes.writeUInt32LE(pageCount, 4);
  bytes.writeBigUInt64LE(vaddr, 8);
  for (let page = 0; page < pageCount; page += 1) {
    const digest = reader.pageDigest(segment, vaddr + BigInt(page * PAGE_BYTES)) ?? 0n;
    bytes.writeBigUInt64LE(digest, RECORD_HEADER_BYTES + page * 8);
  }
  return bytes;
}
