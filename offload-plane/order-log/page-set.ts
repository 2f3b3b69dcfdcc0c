/** Pages as a set: page numbers by task. A page number (address / 4096) stays exact in a double. */
import type { WorkingSet } from './contract.ts';

const PAGE_SHIFT = 12n;

export class PageSet implements WorkingSet {
  readonly #byTask = new Map<number, Set<number>>();
  #pageCount = 0;

  get pageCount(): number {
    return this.#pageCount;
  }

  has(task: number, vaddr: bigint): boolean {
    return this.#byTask.get(task)?.has(Number(vaddr >> PAGE_SHIFT)) ?? false;
  }

  pagesOf(task: number): readonly number[] {
    return Array.from(this.#byTask.get(task) ?? []).sort((a, b) => a - b);
  }

  /** false when it was there already. */
  add(task: number, vaddr: bigint): boolean {
    let pages = this.#byTask.get(task);
    if (pages === undefined) {
      pages = new Set();
      this.#byTask.set(task, pages);
    }
    const page = Number(vaddr >> PAGE_SHIFT);
    if (pages.has(page)) return false;
    pages.add(page);
    this.#pageCount++;
    return true;
  }
}
