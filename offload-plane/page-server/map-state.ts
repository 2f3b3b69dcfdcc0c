/**
 * Which of the pages the pager is responsible for have been sent, and why. One byte a page; ranges are
 * searched by halving.
 */
import { MAX_PAGES_PER_FRAME, PAGE_BYTES, type PageRange } from '../../interconnect/page-protocol.ts';

const SENT = 1;
const DEMANDED = 2;

interface MappedRange extends PageRange {
  /** Where the range's pages begin in the state array. */
  base: number;
}

export class MapState {
  readonly #ranges: MappedRange[] = [];
  readonly #states: Uint8Array;
  #unsentCount: number;
  #cursorRange = 0;
  #cursorPage = 0;

  /** @param ranges sorted by task and address, without overlap */
  constructor(ranges: readonly PageRange[]) {
    let base = 0;
    for (const range of ranges) {
      this.#ranges.push({ ...range, base });
      base += range.pageCount;
    }
    this.#states = new Uint8Array(base);
    this.#unsentCount = base;
  }

  get unsentCount(): number {
    return this.#unsentCount;
  }

  /** A page's index, or -1 when it is not in the map. */
  find(task: number, vaddr: bigint): number {
    const range = this.#rangeOf(task, vaddr);
    if (range === undefined || vaddr % BigInt(PAGE_BYTES) !== 0n) return -1;
    return range.base + Number(vaddr - range.vaddr) / PAGE_BYTES;
  }

  isSent(index: number): boolean {
    return (this.#states[index]! & SENT) !== 0;
  }

  isDemanded(index: number): boolean {
    return (this.#states[index]! & DEMANDED) !== 0;
  }

  /** true when it had not been sent before. */
  markSent(index: number, demanded = false): boolean {
    const first = !this.isSent(index);
    if (first) this.#unsentCount--;
    this.#states[index] = this.#states[index]! | SENT | (demanded ? DEMANDED : 0);
    return first;
  }

  /** The next unsent pages in address order, at most `maxPages` in a row; they count as sent from now. */
  takeNext(maxPages = MAX_PAGES_PER_FRAME): PageRange | undefined {
    for (; this.#cursorRange < this.#ranges.length; this.#cursorRange++, this.#cursorPage = 0) {
      const range = this.#ranges[this.#cursorRange]!;
      while (this.#cursorPage < range.pageCount && this.isSent(range.base + this.#cursorPage)) {
        this.#cursorPage++;
      }
      const first = this.#cursorPage;
      while (
        this.#cursorPage < range.pageCount &&
        this.#cursorPage - first < maxPages &&
        !this.isSent(range.base + this.#cursorPage)
      ) {
        this.markSent(range.base + this.#cursorPage++);
      }
      const pageCount = this.#cursorPage - first;
      if (pageCount > 0) {
        return { task: range.task, vaddr: range.vaddr + BigInt(first * PAGE_BYTES), pageCount };
      }
    }
    return undefined;
  }

  /** After a lost connection: exactly these are still to be sent. false when one is not in the map. */
  resetTo(missing: readonly PageRange[]): boolean {
    this.#states.fill(SENT | DEMANDED);
    this.#unsentCount = 0;
    this.#cursorRange = 0;
    this.#cursorPage = 0;
    for (const range of missing) {
      for (let i = 0; i < range.pageCount; i++) {
        const index = this.find(range.task, range.vaddr + BigInt(i * PAGE_BYTES));
        if (index < 0) return false;
        if (this.#states[index] !== 0) this.#unsentCount++;
        this.#states[index] = 0;
      }
    }
    return true;
  }

  /** What is still to be sent, as ranges. */
  unsentRanges(): PageRange[] {
    const ranges: PageRange[] = [];
    for (const range of this.#ranges) {
      let open: PageRange | undefined;
      for (let i = 0; i < range.pageCount; i++) {
        if (this.isSent(range.base + i)) open = undefined;
        else if (open !== undefined) open.pageCount++;
        else {
          open = { task: range.task, vaddr: range.vaddr + BigInt(i * PAGE_BYTES), pageCount: 1 };
          ranges.push(open);
        }
      }
    }
    return ranges;
  }

  #rangeOf(task: number, vaddr: bigint): MappedRange | undefined {
    let low = 0;
    let high = this.#ranges.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const range = this.#ranges[middle]!;
      if (range.task < task || (range.task === task && range.vaddr <= vaddr)) low = middle + 1;
      else high = middle;
    }
    const range = this.#ranges[low - 1];
    if (range === undefined || range.task !== task) return undefined;
    return vaddr < range.vaddr + BigInt(range.pageCount * PAGE_BYTES) ? range : undefined;
  }
}
