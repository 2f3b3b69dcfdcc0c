/**
 * Reads the pages of frames by their number among the stored ones, in as few pieces of memory as they lie in:
 * from the working set in memory, from blocks that are read ahead, or one by one.
 */
import type { CheckpointFiles } from './checkpoint-files.ts';
import { type BatchReader, type PageBytes, ZERO_PAGE } from './contract.ts';
import { COMING, NOT_HOT } from './hot-pages.ts';
import { PAGE_BYTES } from './limits.ts';
import { readStoredPages, readStoredPagesSync, verifyStoredPage } from './page-reads.ts';

/** 1 MiB. */
const BLOCK_PAGES = 256;
const ZEROS = Buffer.alloc(PAGE_BYTES);
const FREE_BUFFERS = 8;
/** Of a block at least every so manieth page has to be wanted. */
const MAX_STRIDE = 8;

/** Upwards, and close enough together that it pays to read what lies between them. */
function areClose(pages: Uint32Array): boolean {
  let first = ZERO_PAGE;
  let last = -1;
  for (const page of pages) {
    if (page === ZERO_PAGE) continue;
    if (page <= last) return false;
    if (first === ZERO_PAGE) first = page;
    last = page;
  }
  return last - first < pages.length * MAX_STRIDE;
}

/** Memory that is used again once nobody has any of it. */
class Lent {
  readonly bytes: Buffer;
  readonly #free: Buffer[];
  #userCount = 0;

  constructor(free: Buffer[], byteCount: number) {
    const known = free.findIndex(({ length }) => length === byteCount);
    this.bytes = known < 0 ? Buffer.allocUnsafeSlow(byteCount) : free.splice(known, 1)[0]!;
    this.#free = free;
  }

  use(): void {
    this.#userCount++;
  }

  release(): void {
    if (--this.#userCount === 0 && this.#free.length < FREE_BUFFERS) this.#free.push(this.bytes);
  }
}

/** Parts of buffers, one after the other; what lies side by side is one piece. */
class Pieces {
  readonly #lent = new Set<Lent>();
  readonly #pieces: Buffer[] = [];
  #buffer: Buffer | undefined;
  #start = 0;
  #end = 0;

  add(buffer: Buffer, offset: number): void {
    if (this.#buffer !== buffer || this.#end !== offset) {
      this.#flush();
      this.#buffer = buffer;
      this.#start = offset;
    }
    this.#end = offset + PAGE_BYTES;
  }

  /** Not to be used again before this is released. */
  hold(lent: Lent): Buffer {
    if (!this.#lent.has(lent)) lent.use();
    this.#lent.add(lent);
    return lent.bytes;
  }

  finish(): PageBytes {
    this.#flush();
    return { pieces: this.#pieces, release: () => this.release() };
  }

  release(): void {
    for (const lent of this.#lent) lent.release();
    this.#lent.clear();
  }

  #flush(): void {
    if (this.#buffer !== undefined) this.#pieces.push(this.#buffer.subarray(this.#start, this.#end));
  }
}

interface Block {
  number: number;
  lent: Lent;
  isWhole: boolean;
  whole: Promise<void>;
}

export class StoreBatchReader implements BatchReader {
  readonly #files: CheckpointFiles;
  readonly #free: Buffer[] = [];
  #block: Block | undefined;
  /** The one that follows, read ahead. */
  #next: Block | undefined;

  constructor(files: CheckpointFiles) {
    this.#files = files;
  }

  async read(pages: Uint32Array): Promise<PageBytes> {
    const inBlocks = areClose(pages);
    const pieces = new Pieces();
    let single: Buffer | undefined;
    try {
      for (let i = 0; i < pages.length; i++) {
        const page = pages[i]!;
        // Most pages cost no turn of the event loop.
        while (this.#isComing(page)) await this.#files.hotPages!.progress;
        if (page === ZERO_PAGE) pieces.add(ZEROS, 0);
        else if (this.#addHot(page, pieces)) continue;
        else if (inBlocks) {
          const block = this.#blockOf(page);
          const bytes = pieces.hold(block.lent);
          if (!block.isWhole) await block.whole;
          this.#addVerified(page, bytes, (page % BLOCK_PAGES) * PAGE_BYTES, pieces);
        } else {
          single ??= pieces.hold(new Lent(this.#free, pages.length * PAGE_BYTES));
          readStoredPagesSync(this.#files, page, 1, single, i * PAGE_BYTES);
          this.#addVerified(page, single, i * PAGE_BYTES, pieces);
        }
      }
      return pieces.finish();
    } catch (error) {
      pieces.release();
      throw error;
    }
  }

  #isComing(page: number): boolean {
    return page !== ZERO_PAGE && this.#files.hotPages?.slotOf(page) === COMING;
  }

  #addHot(page: number, pieces: Pieces): boolean {
    const hot = this.#files.hotPages;
    const slot = hot?.slotOf(page) ?? NOT_HOT;
    if (slot === NOT_HOT) return false;
    pieces.add(hot!.blockOf(slot), hot!.offsetOf(slot));
    return true;
  }

  #addVerified(page: number, bytes: Buffer, offset: number, pieces: Pieces): void {
    verifyStoredPage(this.#files, page, bytes, offset);
    pieces.add(bytes, offset);
  }

  #blockOf(page: number): Block {
    const number = Math.floor(page / BLOCK_PAGES);
    if (this.#block?.number === number) return this.#block;
    this.#block?.lent.release();
    if (this.#next?.number === number) this.#block = this.#next;
    else {
      this.#next?.lent.release();
      this.#block = this.#load(number);
    }
    this.#next =
      (number + 1) * BLOCK_PAGES < this.#files.index.storedPageCount ? this.#load(number + 1) : undefined;
    return this.#block;
  }

  #load(number: number): Block {
    const first = number * BLOCK_PAGES;
    const pageCount = Math.min(BLOCK_PAGES, this.#files.index.storedPageCount - first);
    const lent = new Lent(this.#free, BLOCK_PAGES * PAGE_BYTES);
    lent.use(); // as this block, and while it is read
    lent.use();
    const read = readStoredPages(this.#files, first, pageCount, lent.bytes, 0);
    const block: Block = { number, lent, isWhole: false, whole: read };
    read.then(
      () => {
        block.isWhole = true;
        lent.release();
      },
      () => lent.release(), // whoever waits for the block is told
    );
    return block;
  }
}
