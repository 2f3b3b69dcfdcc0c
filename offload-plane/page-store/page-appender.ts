/**
 * Takes pages as they arrive: leaves out zero pages, hashes the others and notes where each run lies.
 * A page costs one comparison, one hash and one copy here, and no promise.
 */
import type { FileHandle } from 'node:fs/promises';
import { OffloadError } from '../../platform/errors.ts';
import { xxh64At } from '../../platform/xxhash.ts';
import type { PageTarget, Segment, StoreLimits } from './contract.ts';
import { ExtentWriter } from './extent-writer.ts';
import { targetKey } from './index-format.ts';
import { MAX_ADDRESS, MAX_APPEND_BYTES, MAX_SHMEM_ID, MAX_TASK_ID, PAGE_BYTES } from './limits.ts';
import type { QuotaShare } from './quota.ts';

const ZERO_PAGE = Buffer.alloc(PAGE_BYTES);
const DIGEST_BYTES = 8;

export class PageAppender {
  readonly segments: Segment[] = [];
  readonly #extents: ExtentWriter;
  readonly #targets = new Map<string, PageTarget>();
  readonly #subject: string;
  readonly #limits: StoreLimits;
  readonly #quota: QuotaShare;
  #checksums = new BigUint64Array(4096);
  #storedPageCount = 0;
  #zeroPageCount = 0;

  constructor(options: { file: FileHandle; subject: string; limits: StoreLimits; quota: QuotaShare }) {
    this.#extents = new ExtentWriter(options.file);
    this.#subject = options.subject;
    this.#limits = options.limits;
    this.#quota = options.quota;
  }

  get storedPageCount(): number {
    return this.#storedPageCount;
  }

  get zeroPageCount(): number {
    return this.#zeroPageCount;
  }

  get targets(): PageTarget[] {
    return [...this.#targets.values()];
  }

  /** The checksums of stored pages, in file order. */
  get checksums(): BigUint64Array {
    return this.#checksums.subarray(0, this.#storedPageCount);
  }

  addTarget(target: PageTarget): void {
    const key = targetKey(target);
    if (this.#targets.has(key)) return;
    const maxId = target.kind === 'task' ? MAX_TASK_ID : MAX_SHMEM_ID;
    if (!Number.isSafeInteger(target.id) || target.id < 1 || target.id > maxId) {
      throw this.#violation(`${target.kind} id ${target.id} is not between 1 and ${maxId}`);
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
      this.#addRun(target, vaddr + BigInt(start), lazy, zero, pages, start, end);
      start = end;
    }
    return this.#extents.backpressure();
  }

  /** Flushes; gives the pages file's sha256. */
  finish(): Promise<string> {
    return this.#extents.finish();
  }

  settle(): Promise<void> {
    return this.#extents.settle();
  }

  #addRun(
    target: PageTarget,
    vaddr: bigint,
    lazy: boolean,
    zero: boolean,
    pages: Buffer,
    start: number,
    end: number,
  ): void {
    const pageCount = (end - start) / PAGE_BYTES;
    const firstStoredPage = zero ? 0 : this.#storedPageCount;
    if (zero) this.#zeroPageCount += pageCount;
    else this.#store(pages, start, end, pageCount);
    if (!this.#extendLast(target, vaddr, lazy, zero, pageCount, firstStoredPage)) {
      if (this.segments.length >= this.#limits.maxSegmentCount) {
        throw this.#violation(`memory in more than ${this.#limits.maxSegmentCount} segments`);
      }
      this.segments.push({
        kind: target.kind,
        id: target.id,
        vaddr,
        pageCount,
        lazy,
        zero,
        firstStoredPage,
      });
    }
  }

  #store(pages: Buffer, start: number, end: number, pageCount: number): void {
    this.#quota.take(end - start + pageCount * DIGEST_BYTES, this.#subject);
    this.#growChecksums(this.#storedPageCount + pageCount);
    for (let offset = start; offset < end; offset += PAGE_BYTES) {
      this.#checksums[this.#storedPageCount++] = xxh64At(pages, offset, PAGE_BYTES);
    }
    this.#extents.append(pages, start, end);
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

  #growChecksums(count: number): void {
    if (count <= this.#checksums.length) return;
    const grown = new BigUint64Array(Math.max(count, this.#checksums.length * 2));
    grown.set(this.#checksums);
    this.#checksums = grown;
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
