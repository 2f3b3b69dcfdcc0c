/**
 * Takes pages as they arrive: leaves out zero pages, hashes the others, refers to those that are known
 * already and notes where each run lies. A page costs one comparison, one hash and one copy here (a known
 * one a read and a second comparison in place of the copy), and no promise.
 */
import { OffloadError } from '../../platform/errors.ts';
import { xxh64At } from '../../platform/xxhash.ts';
import { CHECKSUM_BYTES, ChecksumList } from './checksum-list.ts';
import type { PageTarget, Segment, StoreLimits } from './contract.ts';
import { ExtentWriter } from './extent-writer.ts';
import { targetKey } from './index-format.ts';
import type { KnownPages } from './known-pages.ts';
import { MAX_ADDRESS, MAX_APPEND_BYTES, MAX_SHMEM_ID, MAX_TASK_ID, PAGE_BYTES } from './limits.ts';
import { type Origin, OriginList } from './origins.ts';
import type { PagesFile } from './pages-file.ts';
import type { QuotaShare } from './quota.ts';

const ZERO_PAGE = Buffer.alloc(PAGE_BYTES);

export interface Run {
  target: PageTarget;
  vaddr: bigint;
  lazy: boolean;
  pageCount: number;
}

export interface AppenderOptions {
  file: PagesFile;
  subject: string;
  limits: StoreLimits;
  quota: QuotaShare;
  known: KnownPages | undefined;
}

export class PageAppender {
  readonly segments: Segment[] = [];
  readonly #extents: ExtentWriter;
  readonly #targets = new Map<string, PageTarget>();
  readonly #subject: string;
  readonly #limits: StoreLimits;
  readonly #quota: QuotaShare;
  readonly #known: KnownPages | undefined;
  readonly #origins = new OriginList();
  #ownPageCount = 0;
  readonly #checksums = new ChecksumList();
  #zeroPageCount = 0;

  constructor(options: AppenderOptions) {
    this.#extents = new ExtentWriter(options.file);
    this.#subject = options.subject;
    this.#limits = options.limits;
    this.#quota = options.quota;
    this.#known = options.known;
  }

  get storedPageCount(): number {
    return this.#checksums.count;
  }

  /** In this checkpoint's own pages file. */
  get ownPageCount(): number {
    return this.#ownPageCount;
  }

  get origins(): readonly Origin[] {
    return this.#origins.origins;
  }

  get zeroPageCount(): number {
    return this.#zeroPageCount;
  }

  get targets(): PageTarget[] {
    return [...this.#targets.values()];
  }

  /** The checksums of stored pages. */
  get checksums(): BigUint64Array {
    return this.#checksums.checksums;
  }

  /** Those of the own pages file, in file order. */
  ownChecksums(): BigUint64Array {
    const own = new BigUint64Array(this.#ownPageCount);
    for (const { file, firstStoredPage, filePage, pageCount } of this.origins) {
      if (file !== 0) continue;
      own.set(this.checksums.subarray(firstStoredPage, firstStoredPage + pageCount), filePage);
    }
    return own;
  }

  addTarget(target: PageTarget): void {
    const key = targetKey(target);
    if (this.#targets.has(key)) return;
    const [least, most] = target.kind === 'task' ? [1, MAX_TASK_ID] : [0, MAX_SHMEM_ID];
    if (!Number.isSafeInteger(target.id) || target.id < least || target.id > most) {
      throw this.#violation(`${target.kind} id ${target.id} is not between ${least} and ${most}`);
    }
    if (this.#targets.size >= this.#limits.maxTargetCount) {
      throw this.#violation(`more than ${this.#limits.maxTargetCount} tasks and shared memories`);
    }
    this.#targets.set(key, { kind: target.kind, id: target.id });
  }

  add(target: PageTarget, vaddr: bigint, lazy: boolean, pages: Buffer): Promise<void> | undefined {
    this.#check(vaddr, pages);
    this.addTarget(target);
    let start = 0;
    while (start < pages.length) {
      const zero = isZeroPage(pages, start);
      let end = start + PAGE_BYTES;
      while (end < pages.length && isZeroPage(pages, end) === zero) end += PAGE_BYTES;
      const pageCount = (end - start) / PAGE_BYTES;
      const run = { target, vaddr: vaddr + BigInt(start), lazy, pageCount };
      if (zero) this.addZero(run);
      else {
        this.#addSegment(run, false, this.storedPageCount);
        this.#store(pages, start, end, pageCount);
      }
      start = end;
    }
    return this.#extents.backpressure();
  }

  /** Flushes. */
  finish(): Promise<void> {
    return this.#extents.finish();
  }

  settle(): Promise<void> {
    return this.#extents.settle();
  }

  /** Pages that lie in files of other checkpoints, with the checksums they have there. */
  addElsewhere(run: Run, checksums: BigUint64Array, parts: readonly Origin[]): void {
    this.addTarget(run.target);
    this.#quota.take(run.pageCount * CHECKSUM_BYTES, this.#subject);
    this.#addSegment(run, false, this.storedPageCount);
    this.#checksums.extend(run.pageCount).set(checksums);
    for (const { file, filePage, pageCount } of parts) this.#addOrigin(file, filePage, pageCount);
  }

  addZero(run: Run): void {
    this.addTarget(run.target);
    this.#zeroPageCount += run.pageCount;
    this.#addSegment(run, true, 0);
  }

  #store(pages: Buffer, start: number, end: number, pageCount: number): void {
    this.#quota.take(pageCount * CHECKSUM_BYTES, this.#subject);
    const digests = this.#checksums.extend(pageCount);
    for (let i = 0; i < pageCount; i++) {
      digests[i] = xxh64At(pages, start + i * PAGE_BYTES, PAGE_BYTES);
    }
    // Pages scattered over too many places would pass the bound; such are stored again instead.
    const crowded = this.origins.length * 2 > this.#limits.maxSegmentCount;
    if (this.#known === undefined || crowded) this.#storeOwn(pages, start, end);
    else this.#storeUnknown(this.#known, digests, pages, start, end);
  }

  #storeUnknown(known: KnownPages, digests: BigUint64Array, pages: Buffer, start: number, end: number): void {
    let ownFrom = start;
    for (let offset = start; offset < end; ) {
      const match = known.find(digests, (offset - start) / PAGE_BYTES, pages, offset);
      if (match === undefined) {
        offset += PAGE_BYTES;
        continue;
      }
      this.#storeOwn(pages, ownFrom, offset);
      for (const { file, filePage, pageCount } of match.parts) this.#addOrigin(file, filePage, pageCount);
      offset += match.pageCount * PAGE_BYTES;
      ownFrom = offset;
    }
    this.#storeOwn(pages, ownFrom, end);
  }

  #storeOwn(pages: Buffer, start: number, end: number): void {
    if (start === end) return;
    const pageCount = (end - start) / PAGE_BYTES;
    this.#quota.take(end - start, this.#subject);
    this.#addOrigin(0, this.#ownPageCount, pageCount);
    this.#ownPageCount += pageCount;
    this.#extents.append(pages, start, end);
  }

  #addOrigin(file: number, filePage: number, pageCount: number): void {
    this.#origins.add(file, filePage, pageCount);
    if (this.origins.length > this.#limits.maxSegmentCount) {
      throw this.#violation(`pages in more than ${this.#limits.maxSegmentCount} places`);
    }
  }

  #addSegment({ target, vaddr, lazy, pageCount }: Run, zero: boolean, firstStoredPage: number): void {
    if (this.#extendLast(target, vaddr, lazy, zero, pageCount, firstStoredPage)) return;
    if (this.segments.length >= this.#limits.maxSegmentCount) {
      throw this.#violation(`memory in more than ${this.#limits.maxSegmentCount} segments`);
    }
    const { kind, id } = target;
    this.segments.push({ kind, id, vaddr, pageCount, lazy, zero, firstStoredPage });
  }

  /** Most frames go on where the one before ended. */
  #extendLast(
    target: PageTarget,
    vaddr: bigint,
    lazy: boolean,
    zero: boolean,
    pageCount: number,
    firstStoredPage: number,
  ): boolean {
    const last = this.segments.at(-1);
    if (last === undefined || last.id !== target.id || last.kind !== target.kind) return false;
    if (last.lazy !== lazy || last.zero !== zero) return false;
    if (last.vaddr + BigInt(last.pageCount * PAGE_BYTES) !== vaddr) return false;
    if (!zero && last.firstStoredPage + last.pageCount !== firstStoredPage) return false;
    last.pageCount += pageCount;
    return true;
  }

  #check(vaddr: bigint, pages: Buffer): void {
    if (pages.length === 0 || pages.length % PAGE_BYTES !== 0 || pages.length > MAX_APPEND_BYTES) {
      throw this.#violation(
        `${pages.length} bytes are not 1 to ${MAX_APPEND_BYTES / PAGE_BYTES} whole pages of ${PAGE_BYTES} bytes`,
      );
    }
    if (vaddr % BigInt(PAGE_BYTES) !== 0n || vaddr < 0n || vaddr + BigInt(pages.length) > MAX_ADDRESS) {
      throw this.#violation(`address 0x${vaddr.toString(16)} is no page address below 2^56`);
    }
  }

  #violation(what: string): OffloadError {
    return new OffloadError('page_protocol_violation', `page store ${this.#subject}: ${what}`);
  }
}

/** memcmp stops at the first difference, so a page with content costs next to nothing. */
function isZeroPage(pages: Buffer, offset: number): boolean {
  if (pages[offset] !== 0) return false;
  return pages.compare(ZERO_PAGE, 0, PAGE_BYTES, offset, offset + PAGE_BYTES) === 0;
}
