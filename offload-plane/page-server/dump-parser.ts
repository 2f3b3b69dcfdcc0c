/**
 * Parses a dump as it arrives, in whatever chunks. Whole pages go to the writer straight out of the
 * chunk; only a header or a page cut by a chunk's end is put together in a buffer of its own.
 */
import type { CheckpointWriter, PageTarget } from '../page-store/contract.ts';
import { MAX_ADDRESS, MAX_APPEND_BYTES, PAGE_BYTES } from '../page-store/limits.ts';
import {
  CRIU_HEADER_BYTES,
  CriuCommand,
  type CriuHeader,
  criuViolation,
  decodeCriuHeader,
  decodeCriuTarget,
  PagemapFlag,
} from './criu-wire.ts';

/** One ADD covers at most one piece of one VMA; 2^22 pages are 16 GiB. */
const MAX_PAGES_PER_ADD = 1n << 22n;
const KNOWN_FLAGS = PagemapFlag.LAZY | PagemapFlag.PRESENT | PagemapFlag.PARENT;

export interface DumpParserOptions {
  writer: CheckpointWriter;
  maxPageCount: number;
  /** Sends an answer to CRIU. */
  answer(bytes: Buffer): void;
}

export class DumpParser {
  pageCount = 0;
  lazyPageCount = 0;
  /** Of all pages, those that CRIU left to the earlier dump. */
  inheritedPageCount = 0;
  /** CLOSE has come and everything before it is with the writer. */
  closed = false;
  readonly #options: DumpParserOptions;
  readonly #targets = new Set<bigint>();
  readonly #header = Buffer.alloc(CRIU_HEADER_BYTES);
  #headerBytes = 0;
  readonly #page = Buffer.alloc(PAGE_BYTES);
  #pageBytes = 0;
  #remainingBytes = 0;
  #target: PageTarget = { kind: 'task', id: 0 };
  #targetCode = -1n;
  #vaddr = 0n;
  #lazy = false;

  constructor(options: DumpParserOptions) {
    this.#options = options;
  }

  get targetCount(): number {
    return this.#targets.size;
  }

  /** Nothing is half-read: the only place where a stream may end. */
  get atBoundary(): boolean {
    return this.#headerBytes === 0 && this.#remainingBytes === 0;
  }

  /**
   * Takes a chunk; the promise is the writer's back-pressure.
   * @throws {OffloadError} page_protocol_violation, no_space
   */
  push(chunk: Buffer): Promise<void> | undefined {
    let offset = 0;
    let pressure: Promise<void> | undefined;
    while (offset < chunk.length) {
      if (this.closed) throw criuViolation('bytes after CLOSE');
      if (this.#remainingBytes === 0) {
        offset += this.#readHeader(chunk, offset);
        continue;
      }
      const taken = this.#takePages(chunk, offset);
      pressure = taken.pressure ?? pressure;
      offset += taken.bytes;
    }
    return pressure;
  }

  #readHeader(chunk: Buffer, offset: number): number {
    const bytes = chunk.copy(this.#header, this.#headerBytes, offset);
    this.#headerBytes += bytes;
    if (this.#headerBytes === CRIU_HEADER_BYTES) {
      this.#headerBytes = 0;
      this.#command(decodeCriuHeader(this.#header));
    }
    return bytes;
  }

  #command(header: CriuHeader): void {
    switch (header.command) {
      case CriuCommand.OPEN:
      case CriuCommand.OPEN2:
        this.#open(header.target);
        // One byte: whether there is an earlier dump of this target to refer to.
        if (header.command === CriuCommand.OPEN2) this.#answerWhetherParent(this.#target, 1);
        return;
      case CriuCommand.PARENT:
        this.#answerWhetherParent(decodeCriuTarget(header.target), 4);
        return;
      case CriuCommand.ADD:
        this.#add(header, PagemapFlag.PRESENT);
        return;
      case CriuCommand.ADD_F:
        this.#add(header, header.flags);
        return;
      case CriuCommand.HOLE:
        this.#inherit(header);
        return;
      case CriuCommand.CLOSE:
      case CriuCommand.FORCE_CLOSE:
        this.closed = true;
        return;
      default:
        throw criuViolation(`unknown command ${header.command}`);
    }
  }

  #answerWhetherParent(target: PageTarget, bytes: number): void {
    const answer = Buffer.alloc(bytes);
    answer[0] = this.#mayInherit(target) ? 1 : 0;
    this.#options.answer(answer);
  }

  /**
   * Shared memory is always taken whole: CRIU looks for changes in the page tables of the tasks that live,
   * and would leave out a page that was written by one that has ended.
   */
  #mayInherit(target: PageTarget): boolean {
    return target.kind === 'task' && this.#options.writer.parentHas(target);
  }

  #open(code: bigint): void {
    this.#target = decodeCriuTarget(code);
    this.#targetCode = code;
    this.#targets.add(code);
    this.#options.writer.addTarget(this.#target);
  }

  #add(header: CriuHeader, flags: number): void {
    if (
      (flags & ~KNOWN_FLAGS) === 0 &&
      (flags & PagemapFlag.PRESENT) === 0 &&
      (flags & PagemapFlag.PARENT) !== 0
    ) {
      this.#inherit(header);
      return;
    }
    if ((flags & ~KNOWN_FLAGS) !== 0 || (flags & PagemapFlag.PRESENT) === 0) {
      throw criuViolation(`pages with flags 0x${flags.toString(16)}: a dump has to bring all its pages`);
    }
    const pageCount = this.#count(header);
    this.#vaddr = header.vaddr;
    this.#lazy = (flags & PagemapFlag.LAZY) !== 0;
    if (this.#lazy) this.lazyPageCount += pageCount;
    this.#remainingBytes = pageCount * PAGE_BYTES;
  }

  /** Pages that have not changed since the earlier dump: no bytes follow. */
  #inherit(header: CriuHeader): void {
    if (!this.#mayInherit(this.#target)) {
      throw criuViolation('pages are left to an earlier dump, and there is none');
    }
    const pageCount = this.#count(header);
    this.inheritedPageCount += pageCount;
    this.#options.writer.inheritPages(this.#target, header.vaddr, pageCount);
  }

  /** Checks which pages a header is about, and counts them. */
  #count(header: CriuHeader): number {
    if (header.target !== this.#targetCode) throw criuViolation('pages for a target that is not open');
    if (header.pageCount < 1n || header.pageCount > MAX_PAGES_PER_ADD) {
      throw criuViolation(`${header.pageCount} pages at once, limit ${MAX_PAGES_PER_ADD} pages`);
    }
    const endAddress = header.vaddr + header.pageCount * BigInt(PAGE_BYTES);
    if (header.vaddr % BigInt(PAGE_BYTES) !== 0n || endAddress > MAX_ADDRESS) {
      throw criuViolation(`address 0x${header.vaddr.toString(16)} is no page address below 2^56`);
    }
    const pageCount = Number(header.pageCount);
    this.pageCount += pageCount;
    if (this.pageCount > this.#options.maxPageCount) {
      throw criuViolation(`more than ${this.#options.maxPageCount} pages in a dump`);
    }
    return pageCount;
  }

  #takePages(chunk: Buffer, offset: number): { bytes: number; pressure: Promise<void> | undefined } {
    const available = Math.min(chunk.length - offset, this.#remainingBytes);
    if (this.#pageBytes > 0 || available < PAGE_BYTES) {
      const bytes = chunk.copy(this.#page, this.#pageBytes, offset, offset + available);
      this.#pageBytes += bytes;
      if (this.#pageBytes < PAGE_BYTES) return this.#took(bytes, undefined);
      this.#pageBytes = 0;
      return this.#took(bytes, this.#store(this.#page));
    }
    const bytes = Math.min(available - (available % PAGE_BYTES), MAX_APPEND_BYTES);
    return this.#took(bytes, this.#store(chunk.subarray(offset, offset + bytes)));
  }

  #took(bytes: number, pressure: Promise<void> | undefined) {
    this.#remainingBytes -= bytes;
    return { bytes, pressure };
  }

  #store(pages: Buffer): Promise<void> | undefined {
    const pressure = this.#options.writer.addPages(this.#target, this.#vaddr, this.#lazy, pages);
    this.#vaddr += BigInt(pages.length);
    return pressure;
  }
}
