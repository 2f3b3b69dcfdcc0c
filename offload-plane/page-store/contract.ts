/**
 * What the page store offers: checkpoints at rest on the device's own NVMe, written once, read by many.
 * Addresses are byte addresses (bigint) here at the edge; pages are 4096 bytes.
 */
import type { Readable } from 'node:stream';
import type { OrderLogBytes } from '../order-log/contract.ts';
import type { StoreFileSystem } from './file-system.ts';

/** Whose memory: a task's address space (id: its pid in the container) or a shared memory object. */
export interface PageTarget {
  kind: 'task' | 'shmem';
  id: number;
}

/** A run of pages of one target that are all zero (no bytes stored) or all stored next to each other. */
export interface Segment extends PageTarget {
  vaddr: bigint;
  pageCount: number;
  /** CRIU may restore these after the task runs: anonymous private memory. */
  lazy: boolean;
  zero: boolean;
  /** Number of the first page among the stored ones, as `checksums` lists them; 0 for zero runs. */
  firstStoredPage: number;
}

export interface StoredFile {
  bytes: number;
  /** Files with pages have none: `checksums` has one for each page, and hashing both would be most of a dump. */
  sha256?: string;
}

/** manifest.json: written last, so that a checkpoint with a manifest is whole. */
export interface CheckpointManifest {
  formatVersion: number;
  id: string;
  /** ISO 8601. */
  createdAt: string;
  /** Zero pages included. */
  pageCount: number;
  zeroPageCount: number;
  /** Of the others, those that lie in the pages file of an earlier checkpoint. */
  sharedPageCount: number;
  /** Of every file below together, without those that were another checkpoint's first. */
  storedBytes: number;
  /** sha256 over index and checksums: identifies the memory image; an order log names it. */
  digest: string;
  files: Record<string, StoredFile>;
  tenant?: string;
  /** The checkpoint it was written on top of. It may be gone: nothing of it is needed. */
  parent?: string;
  meta: object;
}

export interface PageStoreLogger {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

export interface PageStoreOptions {
  directory: string;
  /** All checkpoints together, those being written included. Default: no limit. */
  quotaBytes?: number;
  logger?: PageStoreLogger;
  limits?: Partial<StoreLimits>;
  /** Checkpoints that stay open without a reader, so that they need not be opened again. Default: none. */
  keepOpenCount?: number;
  fileSystem?: StoreFileSystem;
  /** Wall clock, for the last use of checkpoints. */
  nowMs?: () => number;
  /** Called for each checkpoint that went to make room. */
  onEvicted?: (id: string) => void;
}

export interface BeginOptions {
  /** Pages that a checkpoint of this tenant has are not stored again. Never across tenants. */
  tenant?: string;
  /** A checkpoint of the same tenant whose pages may be inherited. */
  parent?: string;
  /** rest (default): every page of the parent that is neither given nor removed; named: those named. */
  inherit?: 'rest' | 'named';
}

/** Bounds on what a guest can make us write; bytes unless the name says otherwise. */
export interface StoreLimits {
  maxImageBytes: number;
  maxImagesTotalBytes: number;
  maxImageCount: number;
  maxRootfsDiffBytes: number;
  maxSegmentCount: number;
  maxTargetCount: number;
  /** A source that gives no byte for so long is given up. */
  sourceIdleMs: number;
}

/** What a store holds at this moment. */
export interface StoreFigures {
  /** Writers in progress included; what several checkpoints share counts once. */
  usedBytes: number;
  /** What it would take more if they did not share. */
  sharedBytes: number;
  checkpointCount: number;
  pinnedCount: number;
}

export interface PageStore {
  /** Committed checkpoints, oldest first; half-written ones are left out. */
  list(): Promise<CheckpointManifest[]>;
  /** @throws {OffloadError} already_exists, invalid_request, invalid_state (store closed), not_found (parent) */
  begin(id: string, options?: BeginOptions): Promise<CheckpointWriter>;
  /** @throws {OffloadError} not_found, incomplete_checkpoint (names what is missing), invalid_state */
  open(id: string): Promise<CheckpointReader>;
  /**
   * Checkpoints that share its pages keep what they need of them.
   * @throws {OffloadError} not_found; invalid_state while a reader is open or it is pinned
   */
  remove(id: string): Promise<void>;
  /** A pinned checkpoint is neither evicted nor removed, across restarts. @throws {OffloadError} not_found */
  pin(id: string): Promise<void>;
  unpin(id: string): Promise<void>;
  /** @throws {OffloadError} not_found */
  isPinned(id: string): Promise<boolean>;
  /**
   * Removes what was not used for the longest time until the store takes at most `targetBytes`, or nothing
   * is left that may go. What is open, pinned or has pages that others share stays. Gives the ids.
   */
  evict(targetBytes: number): Promise<string[]>;
  /** Closes checkpoints that are kept open without a reader, and gives back the memory they take. */
  trim(): Promise<void>;
  /** Directories left by writers that never committed, removed when the store was opened. */
  readonly leftoversRemoved: number;
  /** Bytes taken, writers in progress included. */
  readonly usedBytes: number;
  readonly figures: StoreFigures;
  /** Aborts open writers and closes readers. */
  close(): Promise<void>;
}

export interface CheckpointWriter {
  readonly id: string;
  /** Announces a target, so that one without a single page still gets its pagemap image. */
  addTarget(target: PageTarget): void;
  /**
   * Makes sure that so many bytes more have room, evicting what was not used for the longest time.
   * @throws {OffloadError} no_space, naming what is needed, what is free and the limit, in bytes
   */
  reserve(bytes: number): Promise<void>;
  /** Whether the parent has pages of this target. */
  parentHas(target: PageTarget): boolean;
  /** These pages are as in the parent. @throws {OffloadError} page_protocol_violation: it has none there */
  inheritPages(target: PageTarget, vaddr: bigint, pageCount: number): void;
  /** These pages of the parent are gone: `inherit: 'rest'` leaves them out. */
  removePages(target: PageTarget, vaddr: bigint, pageCount: number): void;
  /**
   * Appends pages (n x 4096 bytes, at most MAX_APPEND_BYTES). Returns a promise only when the device
   * is behind; `pages` may be reused as soon as the call has returned.
   * @throws {OffloadError} no_space, page_protocol_violation (alignment, address range)
   */
  addPages(target: PageTarget, vaddr: bigint, lazy: boolean, pages: Buffer): Promise<void> | undefined;
  addImage(name: string, source: Readable | Buffer): Promise<void>;
  addRootfsDiff(source: Readable): Promise<void>;
  /** Syncs, verifies by reading back, and publishes. A failure removes everything. */
  commit(meta: object): Promise<CheckpointManifest>;
  /** Removes everything; idempotent; nothing after a commit. */
  abort(): Promise<void>;
}

export interface CheckpointReader {
  readonly manifest: CheckpointManifest;
  /** Sorted by kind ('shmem' before 'task'), id, vaddr. */
  segments(): readonly Segment[];
  /** Same order; those without pages included. */
  targets(): readonly PageTarget[];
  /** Pages in a row, zero pages filled in. @throws {OffloadError} corrupt_page; not_found (no such page) */
  readPages(target: PageTarget, vaddr: bigint, pageCount: number): Promise<Buffer>;
  /** The same into `into` at `offset`, without an allocation. */
  readInto(
    target: PageTarget,
    vaddr: bigint,
    pageCount: number,
    into: Buffer,
    offset?: number,
  ): Promise<void>;
  /**
   * The same at once, without leaving the event loop's turn: a page cache hit costs microseconds where a
   * thread pool hop costs tens. For demand faults.
   */
  readIntoSync(target: PageTarget, vaddr: bigint, pageCount: number, into: Buffer, offset?: number): void;
  /**
   * Brings pages into memory ahead of their use: the working set, when it has a file, once for all readers;
   * else the ranges, into the page cache, in file order with large reads. Never throws.
   */
  prefetch(ranges: readonly TargetRange[]): Promise<void>;
  /** XXH64 of a page (zero pages too). undefined: no such page. */
  pageDigest(target: PageTarget, vaddr: bigint): bigint | undefined;
  /** undefined: no such page. */
  isZero(target: PageTarget, vaddr: bigint): boolean | undefined;
  /**
   * Pages that are not zero have numbers, from 0 without a gap: whoever sends many of them has no use for an
   * address of each. Neighbours in one segment are neighbours by number.
   */
  readonly storedPageCount: number;
  /** A page's number; ZERO_PAGE for a zero page. undefined: no such page. */
  storedPage(target: PageTarget, vaddr: bigint): number | undefined;
  /** The segment that a page is of, by its number. @throws {OffloadError} not_found */
  storedSegment(storedPage: number): Segment;
  /** Reads pages by number; one for each who sends. */
  batches(): BatchReader;
  /** XXH64 over the pages' digests: a frame's digest without hashing the pages again. ZERO_PAGE is a page too. */
  frameDigest(storedPages: Uint32Array): bigint;
  /** Sum over non-zero pages as page-protocol.h defines it; all of them, or those in `ranges`. */
  memoryDigest(ranges?: readonly TargetRange[]): bigint;
  /** Makes memoryDigest cheap, in steps that hold nobody up. What one reader has prepared the others have. */
  prepareMemoryDigest(): Promise<void>;
  imageFiles(): string[];
  /** @throws {OffloadError} not_found, digest_mismatch */
  readImage(name: string): Promise<Buffer>;
  /** Its sha256 is checked at the end: a mismatch ends the stream with an error. */
  openRootfsDiff(): Readable | undefined;
  readOrderLog(): Promise<OrderLogBytes | undefined>;
  /** Replaces the order log in one step; a working set of the one before goes with it. */
  writeOrderLog(bytes: OrderLogBytes): Promise<void>;
  /**
   * Writes the pages of these runs into one file, in this order. What is zero is left out.
   * @throws {OffloadError} no_space, not_found (no such page), corrupt_page
   */
  writeWorkingSet(runs: readonly { task: number; vaddr: bigint; pageCount: number }[]): Promise<void>;
  /** undefined when there is none that can be used. */
  readWorkingSet(): Promise<WorkingSet | undefined>;
  /** Gives this handle back; the files close with the last one. Idempotent. */
  close(): Promise<void>;
}

export interface WorkingSet {
  /** The numbers of its pages, in its order. */
  pages: Uint32Array;
  /**
   * The pages by one sequential read, each verified, in blocks of 1 MiB that are the caller's to keep. A page
   * that is damaged there is read from where it lies. @throws {OffloadError} corrupt_page
   */
  blocks(): AsyncGenerator<Buffer, void, void>;
}

/** Stands for every page that is zero where pages are named by number. */
export const ZERO_PAGE = 0xffff_ffff;

export interface BatchReader {
  /**
   * Pages in this order, verified. What is not in memory comes from blocks that are read ahead, where the pages
   * go upwards and lie close together; else one by one and at once, as whatever is scattered was prefetched.
   * @throws {OffloadError} corrupt_page
   */
  read(storedPages: Uint32Array): Promise<PageBytes>;
}

export interface PageBytes {
  /** To be read only, and not after `release`. */
  pieces: Buffer[];
  release(): void;
}

export interface TargetRange {
  target: PageTarget;
  vaddr: bigint;
  pageCount: number;
}
