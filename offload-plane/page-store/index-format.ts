/**
 * The `index` file: which pages a checkpoint has and where they lie. Binary, little-endian.
 * Header, 32 bytes: magic "OFPINDEX", u32 version, u32 target count, u32 segment count, u32 origin count,
 * u64 stored page count. Then targets, 16 bytes: u32 kind, u32 0, u64 id. Then segments, 32 bytes:
 * u32 target index, u32 flags, u64 vaddr, u64 first stored page, u64 page count; sorted by target and
 * address, without overlap. Then origins, 24 bytes: u32 file (0: `pages`, n: `shared-n`), u32 0, u64 first
 * page in that file, u64 page count; together they are the stored pages in their order.
 */
import { OffloadError } from '../../platform/errors.ts';
import type { PageTarget, Segment } from './contract.ts';
import { MAX_ADDRESS, MAX_SHARED_FILE, MAX_SHMEM_ID, PAGE_BYTES } from './limits.ts';
import type { Origin } from './origins.ts';

const MAGIC = Buffer.from('OFPINDEX');
const INDEX_VERSION = 2;
const HEADER_BYTES = 32;
const TARGET_BYTES = 16;
const SEGMENT_BYTES = 32;
const ORIGIN_BYTES = 24;
const FLAG_LAZY = 1;
const FLAG_ZERO = 2;
const KIND_CODES = { task: 1, shmem: 2 } as const;

export interface PageIndex {
  targets: readonly PageTarget[];
  segments: readonly Segment[];
  origins: readonly Origin[];
  storedPageCount: number;
}

export const targetKey = (target: PageTarget): string => `${target.kind}:${target.id}`;

/** By kind (shmem first), then id: the one order of targets everywhere. */
export function compareTargets(a: PageTarget, b: PageTarget): number {
  if (a.kind !== b.kind) return a.kind < b.kind ? -1 : 1;
  return a.id - b.id;
}

export function encodeIndex(index: PageIndex): Buffer {
  const bytes = Buffer.alloc(indexBytes(index.targets.length, index.segments.length, index.origins.length));
  MAGIC.copy(bytes);
  bytes.writeUInt32LE(INDEX_VERSION, 8);
  bytes.writeUInt32LE(index.targets.length, 12);
  bytes.writeUInt32LE(index.segments.length, 16);
  bytes.writeUInt32LE(index.origins.length, 20);
  bytes.writeBigUInt64LE(BigInt(index.storedPageCount), 24);
  let offset = HEADER_BYTES;
  const positions = new Map<string, number>();
  for (const target of index.targets) {
    positions.set(targetKey(target), positions.size);
    bytes.writeUInt32LE(KIND_CODES[target.kind], offset);
    bytes.writeBigUInt64LE(BigInt(target.id), offset + 8);
    offset += TARGET_BYTES;
  }
  for (const segment of index.segments) {
    bytes.writeUInt32LE(positions.get(targetKey(segment))!, offset);
    bytes.writeUInt32LE((segment.lazy ? FLAG_LAZY : 0) | (segment.zero ? FLAG_ZERO : 0), offset + 4);
    bytes.writeBigUInt64LE(segment.vaddr, offset + 8);
    bytes.writeBigUInt64LE(BigInt(segment.firstStoredPage), offset + 16);
    bytes.writeBigUInt64LE(BigInt(segment.pageCount), offset + 24);
    offset += SEGMENT_BYTES;
  }
  for (const origin of index.origins) {
    bytes.writeUInt32LE(origin.file, offset);
    bytes.writeBigUInt64LE(BigInt(origin.filePage), offset + 8);
    bytes.writeBigUInt64LE(BigInt(origin.pageCount), offset + 16);
    offset += ORIGIN_BYTES;
  }
  return bytes;
}

const indexBytes = (targetCount: number, segmentCount: number, originCount: number): number =>
  HEADER_BYTES + targetCount * TARGET_BYTES + segmentCount * SEGMENT_BYTES + originCount * ORIGIN_BYTES;

/** @throws {OffloadError} incomplete_checkpoint, saying what is wrong with it */
export function decodeIndex(bytes: Buffer, subject: string): PageIndex {
  const broken = (what: string) =>
    new OffloadError('incomplete_checkpoint', `page store open ${subject}: index ${what}`);
  if (bytes.length < HEADER_BYTES || !bytes.subarray(0, 8).equals(MAGIC)) throw broken('has no header');
  const version = bytes.readUInt32LE(8);
  if (version !== INDEX_VERSION) {
    throw broken(`has format version ${version}, this program knows version ${INDEX_VERSION}`);
  }
  const targetCount = bytes.readUInt32LE(12);
  const segmentCount = bytes.readUInt32LE(16);
  const originCount = bytes.readUInt32LE(20);
  const expectedBytes = indexBytes(targetCount, segmentCount, originCount);
  if (bytes.length !== expectedBytes) throw broken(`has ${bytes.length} bytes, expected ${expectedBytes}`);
  const storedPageCount = Number(bytes.readBigUInt64LE(24));
  const targets = decodeTargets(bytes, targetCount, broken);
  const segments = decodeSegments(bytes, segmentCount, targets, storedPageCount, broken);
  const origins = decodeOrigins(bytes, originCount, storedPageCount, broken);
  return { targets, segments, origins, storedPageCount };
}

type Broken = (what: string) => OffloadError;

function decodeTargets(bytes: Buffer, count: number, broken: Broken): PageTarget[] {
  const targets: PageTarget[] = [];
  for (let i = 0; i < count; i++) {
    const offset = HEADER_BYTES + i * TARGET_BYTES;
    const code = bytes.readUInt32LE(offset);
    const id = Number(bytes.readBigUInt64LE(offset + 8));
    if ((code !== 1 && code !== 2) || id > MAX_SHMEM_ID) throw broken(`target ${i} is unknown`);
    targets.push({ kind: code === KIND_CODES.task ? 'task' : 'shmem', id });
  }
  return targets;
}

function decodeSegments(
  bytes: Buffer,
  count: number,
  targets: readonly PageTarget[],
  storedPageCount: number,
  broken: Broken,
): Segment[] {
  const segments: Segment[] = [];
  const start = HEADER_BYTES + targets.length * TARGET_BYTES;
  for (let i = 0; i < count; i++) {
    const offset = start + i * SEGMENT_BYTES;
    const target = targets[bytes.readUInt32LE(offset)];
    const flags = bytes.readUInt32LE(offset + 4);
    const vaddr = bytes.readBigUInt64LE(offset + 8);
    const firstStoredPage = Number(bytes.readBigUInt64LE(offset + 16));
    const pageCount = Number(bytes.readBigUInt64LE(offset + 24));
    const zero = (flags & FLAG_ZERO) !== 0;
    const end = vaddr + BigInt(pageCount) * BigInt(PAGE_BYTES);
    if (target === undefined || pageCount === 0 || end > MAX_ADDRESS)
      throw broken(`segment ${i} is out of range`);
    if (!zero && firstStoredPage + pageCount > storedPageCount)
      throw broken(`segment ${i} is past the pages`);
    segments.push({ ...target, vaddr, pageCount, lazy: (flags & FLAG_LAZY) !== 0, zero, firstStoredPage });
  }
  return segments;
}

function decodeOrigins(bytes: Buffer, count: number, storedPageCount: number, broken: Broken): Origin[] {
  const origins: Origin[] = [];
  let firstStoredPage = 0;
  for (let offset = bytes.length - count * ORIGIN_BYTES; offset < bytes.length; offset += ORIGIN_BYTES) {
    const file = bytes.readUInt32LE(offset);
    const filePage = Number(bytes.readBigUInt64LE(offset + 8));
    const pageCount = Number(bytes.readBigUInt64LE(offset + 16));
    if (file > MAX_SHARED_FILE || pageCount === 0) throw broken(`origin ${origins.length} is out of range`);
    origins.push({ firstStoredPage, file, filePage, pageCount });
    firstStoredPage += pageCount;
  }
  if (firstStoredPage === storedPageCount) return origins;
  throw broken(`says where ${firstStoredPage} of ${storedPageCount} stored pages lie`);
}

/**
 * Sorts segments, joins neighbours and refuses overlaps: CRIU never sends a page twice, so whoever does
 * is not to be trusted with the rest.
 * @throws {OffloadError} page_protocol_violation
 */
export function normaliseSegments(segments: Segment[], subject: string): Segment[] {
  segments.sort((a, b) => compareTargets(a, b) || (a.vaddr < b.vaddr ? -1 : a.vaddr > b.vaddr ? 1 : 0));
  const merged: Segment[] = [];
  for (const segment of segments) {
    const last = merged.at(-1);
    if (last === undefined || compareTargets(last, segment) !== 0) {
      merged.push({ ...segment });
      continue;
    }
    const lastEnd = last.vaddr + BigInt(last.pageCount * PAGE_BYTES);
    if (segment.vaddr < lastEnd) {
      throw new OffloadError(
        'page_protocol_violation',
        `page store ${subject}: ${segment.kind} ${segment.id} has page 0x${segment.vaddr.toString(16)} twice`,
      );
    }
    if (segment.vaddr === lastEnd && joins(last, segment)) last.pageCount += segment.pageCount;
    else merged.push({ ...segment });
  }
  return merged;
}

/** Neighbours by address that also are neighbours among the stored pages, or both zero. */
function joins(a: Segment, b: Segment): boolean {
  if (a.lazy !== b.lazy || a.zero !== b.zero) return false;
  return a.zero || a.firstStoredPage + a.pageCount === b.firstStoredPage;
}
