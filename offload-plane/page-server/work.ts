/**
 * The work lists of one connection: file pages, then the working set in recorded order, then (once somebody
 * starts it) the rest. Each call takes the next pages, at most as many as asked; pages go by their number
 * among the stored ones.
 */
import { PAGE_BYTES } from '../../interconnect/page-protocol.ts';
import type { OrderRun } from '../order-log/contract.ts';
import { type CheckpointReader, ZERO_PAGE } from '../page-store/contract.ts';
import type { MapState } from './map-state.ts';
import type { FileRun } from './plan.ts';

export type Cause = 'demand' | 'push' | 'fill' | 'file';

/** Pages for pages-<pagesId>.img, one after the other from `offsetBytes` on. */
export interface FilePages {
  pagesId: number;
  offsetBytes: number;
  pages: Uint32Array;
}

export class FileWork {
  readonly #runs: readonly FileRun[];
  readonly #reader: CheckpointReader;
  #run = 0;
  #page = 0;

  constructor(runs: readonly FileRun[], reader: CheckpointReader) {
    this.#runs = runs;
    this.#reader = reader;
  }

  get isDone(): boolean {
    return this.#run >= this.#runs.length;
  }

  /** Of one file: its pages may lie anywhere in memory. */
  take(maxPages: number): FilePages | undefined {
    const begin = this.#runs[this.#run];
    if (begin === undefined) return undefined;
    const offsetBytes = begin.offsetBytes + this.#page * PAGE_BYTES;
    const pages = new Uint32Array(maxPages);
    let count = 0;
    for (let run = this.#runs[this.#run]; count < maxPages; run = this.#runs[this.#run]) {
      if (run?.pagesId !== begin.pagesId) break;
      const taken = Math.min(maxPages - count, run.pageCount - this.#page);
      const first = this.#reader.storedPage(run.target, run.vaddr)!;
      for (let i = 0; i < taken; i++) {
        pages[count++] = first === ZERO_PAGE ? ZERO_PAGE : first + this.#page + i;
      }
      this.#page += taken;
      if (this.#page < run.pageCount) break;
      this.#run++;
      this.#page = 0;
    }
    return { pagesId: begin.pagesId, offsetBytes, pages: pages.subarray(0, count) };
  }
}

export class PushWork {
  readonly #runs: readonly OrderRun[];
  readonly #map: MapState;
  #run = 0;
  #page = 0;

  constructor(runs: readonly OrderRun[], map: MapState) {
    this.#runs = runs;
    this.#map = map;
  }

  /** Pages that are mapped and were not sent meanwhile (a fault may have been faster). */
  take(maxPages: number): Uint32Array {
    const pages = new Uint32Array(maxPages);
    let count = 0;
    for (; this.#run < this.#runs.length; this.#run++, this.#page = 0) {
      const { task, vaddr, pageCount } = this.#runs[this.#run]!;
      for (; this.#page < pageCount; this.#page++) {
        if (count === maxPages) return pages;
        const page = this.#map.find(task, vaddr + BigInt(this.#page * PAGE_BYTES));
        if (page < 0 || !this.#map.isDue(page)) continue;
        this.#map.markSent(page);
        pages[count++] = page;
      }
    }
    return pages.subarray(0, count);
  }
}
