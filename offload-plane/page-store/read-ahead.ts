/**
 * Brings stored pages into the page cache ahead of whoever goes through them in order with reads that
 * hold up everything else.
 */
import type { CheckpointFiles } from './checkpoint-files.ts';
import { PAGE_BYTES } from './limits.ts';
import { readStoredPages } from './page-reads.ts';

/** 2 MiB at once, one read at a time, up to 8 MiB ahead. */
const READ_PAGES = 512;
const LEAD_PAGES = 2048;

export class ReadAhead {
  readonly #files: CheckpointFiles;
  /** From where on pages have been asked for, and how far. */
  #first = 0;
  #end = 0;
  #reading: Promise<void> | undefined;
  #scratch: Buffer | undefined;

  constructor(files: CheckpointFiles) {
    this.#files = files;
  }

  /** `page` is the next to be read. Never waits, never throws. */
  reached(page: number): void {
    if (page < this.#first || page > this.#end) this.#first = this.#end = page;
    if (this.#reading !== undefined || this.#end - page >= LEAD_PAGES) return;
    const count = Math.min(READ_PAGES, this.#files.checksums.length - this.#end);
    if (count <= 0) return;
    this.#scratch ??= Buffer.allocUnsafeSlow(READ_PAGES * PAGE_BYTES);
    const done = () => {
      this.#reading = undefined;
    };
    // Only a hint: the read that needs a page tells what is wrong with it.
    this.#reading = readStoredPages(this.#files, this.#end, count, this.#scratch, 0).then(done, done);
    this.#end += count;
  }

  /** Before its files are closed. */
  async settle(): Promise<void> {
    await this.#reading;
  }
}
