/**
 * Which of the pages the pager is responsible for have been sent, and why: one byte for each stored page of
 * the checkpoint, found by its number.
 */
import type { PageRange } from '../../interconnect/page-protocol.ts';
import { PAGE_BYTES } from '../../interconnect/page-protocol.ts';
import { type CheckpointReader, ZERO_PAGE } from '../page-store/contract.ts';

const MAPPED = 1;
const SENT = 2;
const DEMANDED = 4;

export class MapState {
  readonly #reader: CheckpointReader;
  readonly #states: Uint8Array;
  #unsentCount = 0;
  #cursor = 0;

  /** @param ranges without overlap, each of one segment */
  constructor(ranges: readonly PageRange[], reader: CheckpointReader) {
    this.#reader = reader;
    this.#states = new Uint8Array(reader.storedPageCount);
    for (const { task, vaddr, pageCount } of ranges) {
      const first = reader.storedPage({ kind: 'task', id: task }, vaddr)!;
      this.#states.fill(MAPPED, first, first + pageCount);
      this.#unsentCount += pageCount;
    }
  }

  get unsentCount(): number {
    return this.#unsentCount;
  }

  /** A page's number among the stored ones, or -1 when it is not in the map. */
  find(task: number, vaddr: bigint): number {
    const page = this.#reader.storedPage({ kind: 'task', id: task }, vaddr);
    if (page === undefined || page === ZERO_PAGE || vaddr % BigInt(PAGE_BYTES) !== 0n) return -1;
    return this.#states[page] === 0 ? -1 : page;
  }

  isDue(page: number): boolean {
    return this.#states[page] === MAPPED;
  }

  isDemanded(page: number): boolean {
    return (this.#states[page]! & DEMANDED) !== 0;
  }

  markSent(page: number, demanded = false): void {
    if (this.isDue(page)) this.#unsentCount--;
    this.#states[page] = this.#states[page]! | SENT | (demanded ? DEMANDED : 0);
  }

  /** The next unsent pages in the order in which they are stored; they count as sent from now. */
  takeNext(maxPages: number): Uint32Array {
    const pages = new Uint32Array(maxPages);
    let count = 0;
    while (count < maxPages) {
      const page = this.#states.indexOf(MAPPED, this.#cursor);
      if (page < 0) break;
      this.markSent(page);
      pages[count++] = page;
      this.#cursor = page + 1;
    }
    return pages.subarray(0, count);
  }

  /** After a lost connection: exactly these are still to be sent. false when one is not in the map. */
  resetTo(missing: readonly PageRange[]): boolean {
    this.#states.forEach((state, page) => {
      if (state !== 0) this.#states[page] = MAPPED | SENT | DEMANDED;
    });
    this.#unsentCount = 0;
    this.#cursor = 0;
    for (const { task, vaddr, pageCount } of missing) {
      for (let i = 0; i < pageCount; i++) {
        const page = this.find(task, vaddr + BigInt(i * PAGE_BYTES));
        if (page < 0) return false;
        if (!this.isDue(page)) this.#unsentCount++;
        this.#states[page] = MAPPED;
      }
    }
    return true;
  }
}
