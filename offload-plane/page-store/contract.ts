/**
 * What the page store offers: checkpoints at rest on the device's own NVMe, written once, read by many.
 * Addresses are byte addresses (bigint) here at the edge; pages are 4096 bytes.
 */
import type { Readable } from 'node:stream';
import type { OrderLogBytes } from '../order-log/contract.ts';

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
  /** Index of the first page in the `pages` and `checksums` files; 0 for zero runs. */
  firstStoredPage: number;
}

export interface StoredFile {
  bytes: number;
  sha256: string;
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
  /** Of every file below together. */
  storedBytes: number;
  /** sha256 over index and checksums: identifies the memory image; an order log names it. */
  digest: string;
  files: Record<string, StoredFile>;
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

export interface PageStore {
  /** Committed checkpoints, oldest first; half-written ones are left out. */
  list(): Promise<CheckpointManifest[]>;
  /** @throws {OffloadError} already_exists, invalid_request (id), invalid_state (store closed) */
  begin(id: string): Promise<CheckpointWriter>;
  /** @throws {OffloadError} not_found, incomplete_checkpoint (names what is missing), invalid_state */
  open(id: string): Promise<CheckpointReader>;
  /** @throws {OffloadError} not_found; invalid_state while a reader is open */
  remove(id: string): Promise<void>;
  /** Directories left by writers that never committed, removed when the store was opened. */
  readonly leftoversRemoved: number;
  /** Bytes taken, writers in progress included. */
  readonly usedBytes: number;
  /** Aborts open writers and closes readers. */
  close(): Promise<void>;
}

export interface CheckpointWriter {
  readonly id: string;
  /** Announces a target, so that one without a single page still gets its pagemap image. */
  addTarget(target: PageTarget): void;
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
   * thread pool hop costs tens. For demand faults and for pages that were `prefetch`ed.
   */
  readIntoSync(target: PageTarget, vaddr: bigint, pageCount: number, into: Buffer, offset?: number): void;
  /** Brings ranges into the page cache, in file order with large reads. Reads only; never throws. */
  prefetch(ranges: readonly TargetRange[]): Promise<void>;
  /** XXH64 of a page (zero pages too). undefined: no such page. */
  pageDigest(target: PageTarget, vaddr: bigint): bigint | undefined;
  /** undefined: no such page. */
  isZero(target: PageTarget, vaddr: bigint): boolean | undefined;
  /** XXH64 over the pages' digests: a frame's digest without hashing the pages again. */
  frameDigest(target: PageTarget, vaddr: bigint, pageCount: number): bigint;
  /** Sum over non-zero pages as page-protocol.h defines it; all of them, or those in `ranges`. */
  memoryDigest(ranges?: readonly TargetRange[]): bigint;
  imageFiles(): string[];
  /** @throws {OffloadError} not_found, digest_mismatch */
  readImage(name: string): Promise<Buffer>;
  /** Its sha256 is checked at the end: a mismatch ends the stream with an error. */
  openRootfsDiff(): Readable | undefined;
  readOrderLog(): Promise<OrderLogBytes | undefined>;
  /** Replaces the order log in one step. */
  writeOrderLog(bytes: OrderLogBytes): Promise<void>;
  /** Gives this handle back; the files close with the last one. Idempotent. */
  close(): Promise<void>;
}

export interface TargetRange {
  target: PageTarget;
  vaddr: bigint;
  pageCount: number;
}
