/**
 * The page protocol: how the plane's page server and a guest's pager talk about memory pages.
 * page-protocol.h tells the conversation and is the reference for the C side; this file is its
 * TypeScript half. golden/ holds frames as bytes that the tests of both languages read.
 */
import { OffloadError } from '../platform/errors.ts';

export const PROTOCOL_VERSION = 2;
/** vsock ports. */
export const AGENT_PORT = 1024;
export const PAGE_PORT = 2048;
export const DUMP_PORT = 2049;

export const PAGE_BYTES = 4096;
export const HEADER_BYTES = 32;
export const RANGE_BYTES = 16;
export const COUNTERS_BYTES = 80;
export const TOKEN_BYTES = 32;
export const MAX_PAGES_PER_FRAME = 64;
export const MAX_PAYLOAD_BYTES = MAX_PAGES_PER_FRAME * (PAGE_BYTES + RANGE_BYTES);
export const MAX_ERROR_BYTES = 512;

export const FrameType = {
  MAP: 1,
  MAP_END: 2,
  PAGES: 3,
  FILE_PAGES: 4,
  FILES_END: 5,
  MARK: 6,
  END: 7,
  ABORT: 8,
  HELLO: 16,
  CREDIT: 17,
  FAULT: 18,
  RESTORED: 19,
  STATUS: 20,
  DONE: 21,
  ERROR: 22,
  MISSING: 23,
  MISSING_END: 24,
} as const;
export type FrameType = (typeof FrameType)[keyof typeof FrameType];

/** Flags of a PAGES frame: why the page was sent. */
export const PageFlag = { DEMAND: 1, PUSH: 2, FILL: 4 } as const;
/** Flag of a HELLO frame: the pager had a connection before and keeps what it has. */
export const HELLO_RESUME = 1;

/** A frame's 32-byte header; numbers that may pass 2^53 are bigint. */
export interface FrameHeader {
  type: number;
  flags: number;
  task: number;
  vaddr: bigint;
  pageCount: number;
  payloadBytes: number;
  value: bigint;
}

/** A run of pages of one task. */
export interface PageRange {
  task: number;
  vaddr: bigint;
  pageCount: number;
}

/** What a pager has done so far; page counts unless the name says otherwise. */
export interface PagerCounters {
  installed: number;
  demandFaults: number;
  zeroFaults: number;
  pushed: number;
  filled: number;
  duplicates: number;
  dropped: number;
  filePages: number;
  memoryDigest: bigint;
  uptimeUs: number;
}

/** Writes a header into 32 bytes of `target` at `offset`. */
export function encodeHeader(header: FrameHeader, target: Buffer, offset = 0): void {
  target.writeUInt16LE(header.type, offset);
  target.writeUInt16LE(header.flags, offset + 2);
  target.writeUInt32LE(header.task, offset + 4);
  target.writeBigUInt64LE(header.vaddr, offset + 8);
  target.writeUInt32LE(header.pageCount, offset + 16);
  target.writeUInt32LE(header.payloadBytes, offset + 20);
  target.writeBigUInt64LE(header.value, offset + 24);
}

/** A whole frame; fields not given are zero, payloadBytes follows from the payload. */
export function encodeFrame(header: Partial<FrameHeader> & { type: FrameType }, payload?: Buffer): Buffer {
  const payloadBytes = payload?.length ?? 0;
  const frame = Buffer.allocUnsafe(HEADER_BYTES + payloadBytes);
  encodeHeader({ flags: 0, task: 0, vaddr: 0n, pageCount: 0, value: 0n, ...header, payloadBytes }, frame);
  payload?.copy(frame, HEADER_BYTES);
  return frame;
}

/**
 * Reads a header from 32 bytes.
 * @throws {OffloadError} page_protocol_violation, when the payload would exceed MAX_PAYLOAD_BYTES:
 * checked here, before anyone allocates.
 */
export function decodeHeader(source: Buffer, offset = 0): FrameHeader {
  const header = {
    type: source.readUInt16LE(offset),
    flags: source.readUInt16LE(offset + 2),
    task: source.readUInt32LE(offset + 4),
    vaddr: source.readBigUInt64LE(offset + 8),
    pageCount: source.readUInt32LE(offset + 16),
    payloadBytes: source.readUInt32LE(offset + 20),
    value: source.readBigUInt64LE(offset + 24),
  };
  if (header.payloadBytes > MAX_PAYLOAD_BYTES) {
    throw new OffloadError(
      'page_protocol_violation',
      `page protocol: frame type ${header.type} announces ${header.payloadBytes} bytes, limit ${MAX_PAYLOAD_BYTES} bytes`,
    );
  }
  return header;
}

/** Ranges as the payload of MAP and MISSING frames, and as the beginning of that of PAGES frames. */
export function encodeRanges(ranges: readonly PageRange[]): Buffer {
  const payload = Buffer.allocUnsafe(ranges.length * RANGE_BYTES);
  ranges.forEach((range, index) => {
    encodeRange(range, payload, index * RANGE_BYTES);
  });
  return payload;
}

/** Writes one range into 16 bytes of `target` at `offset`. */
export function encodeRange({ task, pageCount, vaddr }: PageRange, target: Buffer, offset: number): void {
  target.writeUInt32LE(task, offset);
  target.writeUInt32LE(pageCount, offset + 4);
  target.writeBigUInt64LE(vaddr, offset + 8);
}

/** A PAGES frame: `pages` are those of the ranges, in their order. */
export function encodePages(
  header: { flags: number; value: bigint },
  ranges: readonly PageRange[],
  pages: Buffer,
): Buffer {
  const payload = Buffer.concat([encodeRanges(ranges), pages]);
  return encodeFrame({ ...header, type: FrameType.PAGES, pageCount: pages.length / PAGE_BYTES }, payload);
}

/** The payload of a PAGES frame. @throws {OffloadError} page_protocol_violation, when it cannot be cut so */
export function decodePages(header: FrameHeader, payload: Buffer): { ranges: PageRange[]; pages: Buffer } {
  const tableBytes = payload.length - header.pageCount * PAGE_BYTES;
  const ranges = tableBytes > 0 ? decodeRanges(payload.subarray(0, tableBytes)) : [];
  if (ranges.reduce((sum, { pageCount }) => sum + pageCount, 0) !== header.pageCount) {
    throw new OffloadError(
      'page_protocol_violation',
      `page protocol: ${payload.length} bytes are no table and ${header.pageCount} pages of it`,
    );
  }
  return { ranges, pages: payload.subarray(tableBytes) };
}

/** @throws {OffloadError} page_protocol_violation, when the payload is not a whole number of ranges. */
export function decodeRanges(payload: Buffer): PageRange[] {
  if (payload.length % RANGE_BYTES !== 0) {
    throw new OffloadError(
      'page_protocol_violation',
      `page protocol: ${payload.length} bytes of ranges are no multiple of ${RANGE_BYTES} bytes`,
    );
  }
  const ranges: PageRange[] = [];
  for (let offset = 0; offset < payload.length; offset += RANGE_BYTES) {
    ranges.push({
      task: payload.readUInt32LE(offset),
      pageCount: payload.readUInt32LE(offset + 4),
      vaddr: payload.readBigUInt64LE(offset + 8),
    });
  }
  return ranges;
}

/** The ten u64 of a STATUS or DONE frame, in the order of struct op_counters. */
const COUNTER_NAMES = [
  'installed',
  'demandFaults',
  'zeroFaults',
  'pushed',
  'filled',
  'duplicates',
  'dropped',
  'filePages',
  'memoryDigest',
  'uptimeUs',
] as const satisfies readonly (keyof PagerCounters)[];

export function encodeCounters(counters: PagerCounters): Buffer {
  const payload = Buffer.allocUnsafe(COUNTERS_BYTES);
  COUNTER_NAMES.forEach((name, index) => {
    payload.writeBigUInt64LE(BigInt(counters[name]), index * 8);
  });
  return payload;
}

/** @throws {OffloadError} page_protocol_violation, when the payload is not 80 bytes. */
export function decodeCounters(payload: Buffer): PagerCounters {
  if (payload.length !== COUNTERS_BYTES) {
    throw new OffloadError(
      'page_protocol_violation',
      `page protocol: counters of ${payload.length} bytes, expected ${COUNTERS_BYTES} bytes`,
    );
  }
  const at = (index: number) => payload.readBigUInt64LE(index * 8);
  const entries = COUNTER_NAMES.map((name, index) => [
    name,
    name === 'memoryDigest' ? at(index) : Number(at(index)),
  ]);
  return Object.fromEntries(entries) as PagerCounters;
}
