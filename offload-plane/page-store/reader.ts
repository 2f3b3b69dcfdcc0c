/** One restore's handle on a checkpoint; several share the files beneath. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { type Readable, Transform } from 'node:stream';
import { OffloadError } from '../../platform/errors.ts';
import type { OrderLogBytes } from '../order-log/contract.ts';
import { StoreBatchReader } from './batch-reader.ts';
import { type CheckpointFiles, fileStamp, readVerified } from './checkpoint-files.ts';
import {
  type BatchReader,
  type CheckpointManifest,
  type CheckpointReader,
  type PageTarget,
  type Segment,
  type TargetRange,
  type WorkingSet,
  ZERO_PAGE,
} from './contract.ts';
import { replaceFile, toStoreError } from './durable.ts';
import type { HotPool } from './hot-pool.ts';
import { PAGE_BYTES } from './limits.ts';
import { IMAGES, ORDER, ROOTFS_DIFF, WORKING_SET } from './names.ts';
import { frameDigest, memoryDigest, prepareDigestSums, ZERO_PAGE_DIGEST } from './page-digests.ts';
import { readPagesInto, readPagesIntoSync } from './page-reads.ts';
import { prefetchRanges } from './prefetch.ts';
import { openWorkingSet, storedRuns, workingSetBytes, writeWorkingSet } from './working-set.ts';
import type { TaskRun } from './working-set-format.ts';

/** A log has 16 bytes a page of the working set; one larger than this is not read. */
const MAX_ORDER_BYTES = 64 * 1024 * 1024;

export interface ReaderHooks {
  hot: HotPool;
  /** Counts what `write` adds to the checkpoint, at most so many bytes. @throws {OffloadError} no_space */
  withRoom(bytes: number, write: () => Promise<void>): Promise<void>;
  /** Once, when content is asked for: a look at the manifest is no use. */
  onUse(): void;
  release(): Promise<void>;
}

export class StoreReader implements CheckpointReader {
  readonly manifest: CheckpointManifest;
  readonly #files: CheckpointFiles;
  readonly #hooks: ReaderHooks;
  #closing: Promise<void> | undefined;
  #used = false;

  constructor(files: CheckpointFiles, hooks: ReaderHooks) {
    this.#files = files;
    this.manifest = files.manifest;
    this.#hooks = hooks;
  }

  segments(): readonly Segment[] {
    return this.#files.index.segments;
  }

  targets(): readonly PageTarget[] {
    return this.#files.index.targets;
  }

  async readPages(target: PageTarget, vaddr: bigint, pageCount: number): Promise<Buffer> {
    this.#files.lookup.pieces(target, vaddr, pageCount); // refuses before it allocates
    const into = Buffer.allocUnsafe(pageCount * PAGE_BYTES);
    await this.readInto(target, vaddr, pageCount, into);
    return into;
  }

  async readInto(target: PageTarget, vaddr: bigint, pageCount: number, into: Buffer, offset = 0) {
    this.#use();
    await readPagesInto(this.#files, { target, vaddr, pageCount, into, offset });
  }

  readIntoSync(target: PageTarget, vaddr: bigint, pageCount: number, into: Buffer, offset = 0): void {
    this.#use();
    readPagesIntoSync(this.#files, { target, vaddr, pageCount, into, offset });
  }

  async prefetch(ranges: readonly TargetRange[]): Promise<void> {
    if (this.#closing !== undefined) return;
    if (!(await this.#hooks.hot.load(this.#files))) await prefetchRanges(this.#files, ranges);
  }

  pageDigest(target: PageTarget, vaddr: bigint): bigint | undefined {
    const page = this.#files.lookup.storedPage(target, vaddr);
    if (page === undefined) return undefined;
    return page < 0 ? ZERO_PAGE_DIGEST : this.#files.checksums[page];
  }

  isZero(target: PageTarget, vaddr: bigint): boolean | undefined {
    return this.#files.lookup.find(target, vaddr)?.zero;
  }

  get storedPageCount(): number {
    return this.#files.index.storedPageCount;
  }

  storedPage(target: PageTarget, vaddr: bigint): number | undefined {
    const page = this.#files.lookup.storedPage(target, vaddr);
    return page === -1 ? ZERO_PAGE : page;
  }

  storedSegment(storedPage: number): Segment {
    return this.#files.lookup.storedSegment(storedPage);
  }

  batches(): BatchReader {
    this.#use();
    return new StoreBatchReader(this.#files);
  }

  frameDigest(storedPages: Uint32Array): bigint {
    return frameDigest(this.#files, storedPages);
  }

  memoryDigest(ranges?: readonly TargetRange[]): bigint {
    return memoryDigest(this.#files, ranges ?? this.#allRanges());
  }

  async prepareMemoryDigest(): Promise<void> {
    if (this.#closing === undefined) await prepareDigestSums(this.#files);
  }

  imageFiles(): string[] {
    const prefix = `${IMAGES}/`;
    return Object.keys(this.manifest.files)
      .filter((name) => name.startsWith(prefix))
      .map((name) => name.slice(prefix.length))
      .sort();
  }

  async readImage(name: string): Promise<Buffer> {
    this.#use();
    const file = `${IMAGES}/${name}`;
    if (!Object.hasOwn(this.manifest.files, file)) {
      throw new OffloadError('not_found', `page store read ${this.manifest.id}: no image ${name}`);
    }
    return await readVerified(this.#files.fs, this.#files.directory, this.manifest, file);
  }

  openRootfsDiff(): Readable | undefined {
    this.#assertOpen();
    const expected = this.manifest.files[ROOTFS_DIFF];
    if (expected === undefined) return undefined;
    const source = createReadStream(join(this.#files.directory, ROOTFS_DIFF));
    const checked = source.pipe(checkSha256(expected.sha256, `${this.manifest.id}: ${ROOTFS_DIFF}`));
    source.on('error', (error) => checked.destroy(error));
    checked.on('close', () => source.destroy());
    return checked;
  }

  async readOrderLog(): Promise<OrderLogBytes | undefined> {
    const path = join(this.#files.directory, ORDER);
    const found = await this.#files.fs.stat(path).catch(() => undefined);
    if (found === undefined) return undefined;
    if (found.size > MAX_ORDER_BYTES) return Buffer.alloc(0);
    const stamp = fileStamp(found);
    if (this.#files.orderLog?.stamp !== stamp) {
      this.#files.orderLog = { stamp, bytes: await this.#files.fs.readFile(path) };
    }
    return this.#files.orderLog.bytes;
  }

  async writeOrderLog(bytes: OrderLogBytes): Promise<void> {
    this.#assertOpen();
    const { fs, directory } = this.#files;
    await this.#write('order log', bytes.length, async () => {
      this.#hooks.hot.forget(this.#files);
      await fs.rm(join(directory, WORKING_SET), { force: true });
      await replaceFile(fs, join(directory, ORDER), bytes);
    });
  }

  async writeWorkingSet(runs: readonly TaskRun[]): Promise<void> {
    this.#assertOpen();
    const stored = storedRuns(this.#files, runs);
    if (stored.length === 0) return;
    await this.#write('working set', workingSetBytes(stored), () => writeWorkingSet(this.#files, stored));
    this.#hooks.hot.forget(this.#files);
  }

  async readWorkingSet(): Promise<WorkingSet | undefined> {
    this.#use();
    return await openWorkingSet(this.#files);
  }

  async #write(what: string, bytes: number, write: () => Promise<void>): Promise<void> {
    try {
      await this.#hooks.withRoom(bytes, write);
    } catch (error) {
      throw toStoreError(error, `page store write ${what}`, this.manifest.id);
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#hooks.release();
    return this.#closing;
  }

  #allRanges(): TargetRange[] {
    return this.segments().map((segment) => ({
      target: segment,
      vaddr: segment.vaddr,
      pageCount: segment.pageCount,
    }));
  }

  #use(): void {
    this.#assertOpen();
    if (this.#used) return;
    this.#used = true;
    this.#hooks.onUse();
  }

  #assertOpen(): void {
    if (this.#closing === undefined) return;
    throw new OffloadError('invalid_state', `page store read ${this.manifest.id}: the reader is closed`);
  }
}

/** Passes bytes on and fails at the end when they were not the ones that were stored. */
function checkSha256(expected: string | undefined, subject: string): Transform {
  const digest = createHash('sha256');
  return new Transform({
    transform(chunk: Buffer, _encoding, callback) {
      digest.update(chunk);
      callback(null, chunk);
    },
    flush(callback) {
      if (digest.digest('hex') === expected) return callback();
      callback(new OffloadError('digest_mismatch', `page store read ${subject} does not have its sha256`));
    },
  });
}
