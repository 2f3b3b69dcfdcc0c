/**
 * Pages of a working set in memory, verified once, for every reader of the checkpoint: several restores at
 * once read and hash them a single time. In use while it fills, in its order.
 */
import { PAGE_BYTES } from './limits.ts';
import { BLOCK_PAGES } from './working-set.ts';

/** What `slotOf` says in place of a slot. */
export const NOT_HOT = -1;
export const COMING = -2;

export class HotPages {
  /** By stored page: its slot and 1, or 0. */
  #slots: Uint32Array | undefined;
  readonly #blocks: Buffer[] = [];
  #ended = false;
  #progress = Promise.withResolvers<void>();

  get bytes(): number {
    return this.#blocks.length * BLOCK_PAGES * PAGE_BYTES;
  }

  /** Resolves when more pages have come, or no more will. */
  get progress(): Promise<void> {
    return this.#progress.promise;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Says which pages will come. */
  announce(storedPageCount: number, pages: Uint32Array): void {
    const slots = new Uint32Array(storedPageCount);
    pages.forEach((page, slot) => {
      slots[page] ||= slot + 1;
    });
    this.#slots = slots;
    this.#advance();
  }

  /** The next pages, verified. */
  add(block: Buffer): void {
    this.#blocks.push(block);
    this.#advance();
  }

  end(): void {
    this.#ended = true;
    this.#advance();
  }

  slotOf(storedPage: number): number {
    if (this.#slots === undefined) return this.#ended ? NOT_HOT : COMING;
    const slot = this.#slots[storedPage]! - 1;
    if (slot < this.#blocks.length * BLOCK_PAGES) return slot; // NOT_HOT as well
    return this.#ended ? NOT_HOT : COMING;
  }

  blockOf(slot: number): Buffer {
    return this.#blocks[Math.floor(slot / BLOCK_PAGES)]!;
  }

  offsetOf(slot: number): number {
    return (slot % BLOCK_PAGES) * PAGE_BYTES;
  }

  /** Copies a run when all of it is here. */
  copy(storedPage: number, pageCount: number, into: Buffer, offset: number): boolean {
    for (let i = 0; i < pageCount; i++) if (this.slotOf(storedPage + i) < 0) return false;
    for (let i = 0; i < pageCount; i++) {
      const slot = this.slotOf(storedPage + i);
      const from = this.offsetOf(slot);
      this.blockOf(slot).copy(into, offset + i * PAGE_BYTES, from, from + PAGE_BYTES);
    }
    return true;
  }

  #advance(): void {
    const { resolve } = this.#progress;
    this.#progress = Promise.withResolvers<void>();
    resolve();
  }
}
