/**
 * The work list of one connection: file pages, then the working set in recorded order, then (once
 * somebody starts it) the rest in address order. Each call takes the next pages, at most as many as asked.
 */
import { FrameType, PAGE_BYTES, PageFlag } from '../../interconnect/page-protocol.ts';
import type { OrderRun } from '../order-log/contract.ts';
import type { PageTarget } from '../page-store/contract.ts';
import type { MapState } from './map-state.ts';
import type { FileRun } from './plan.ts';

export type Cause = 'demand' | 'push' | 'fill' | 'file';

/** Pages to send in one frame. */
export interface Parcel {
  cause: Cause;
  type: FrameType;
  flags: number;
  target: PageTarget;
  vaddr: bigint;
  pageCount: number;
  /** The header's task and vaddr: for file pages the file's id and the offset in it. */
  headerTask: number;
  headerVaddr: bigint;
  /** Sent for the first time: counts towards the memory digest. */
  first: boolean;
}

export function pagesParcel(
  cause: 'demand' | 'push' | 'fill',
  task: number,
  vaddr: bigint,
  pageCount: number,
): Parcel {
  const flags = { demand: PageFlag.DEMAND, push: PageFlag.PUSH, fill: PageFlag.FILL }[cause];
  const target: PageTarget = { kind: 'task', id: task };
  const type = FrameType.PAGES;
  return { cause, type, flags, target, vaddr, pageCount, headerTask: task, headerVaddr: vaddr, first: true };
}

export class FileWork {
  readonly #runs: readonly FileRun[];
  #run = 0;
  #page = 0;

  constructor(runs: readonly FileRun[]) {
    this.#runs = runs;
  }

  get isDone(): boolean {
    return this.#run >= this.#runs.length;
  }

  take(maxPages: number): Parcel | undefined {
    const run = this.#runs[this.#run];
    if (run === undefined) return undefined;
    const skippedBytes = this.#page * PAGE_BYTES;
    const pageCount = Math.min(maxPages, run.pageCount - this.#page);
    this.#page += pageCount;
    if (this.#page === run.pageCount) {
      this.#run++;
      this.#page = 0;
    }
    return {
      cause: 'file',
      type: FrameType.FILE_PAGES,
      flags: 0,
      target: run.target,
      vaddr: run.vaddr + BigInt(skippedBytes),
      pageCount,
      headerTask: run.pagesId,
      headerVaddr: BigInt(run.offsetBytes + skippedBytes),
      first: true,
    };
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

  /** Pages of a run that are mapped and were not sent meanwhile (a fault may have been faster). */
  take(maxPages: number): Parcel | undefined {
    for (; this.#run < this.#runs.length; this.#run++, this.#page = 0) {
      const run = this.#runs[this.#run]!;
      while (this.#page < run.pageCount && !this.#isDue(run, this.#page)) this.#page++;
      const first = this.#page;
      while (this.#page < run.pageCount && this.#page - first < maxPages && this.#isDue(run, this.#page)) {
        this.#map.markSent(this.#map.find(run.task, run.vaddr + BigInt(this.#page++ * PAGE_BYTES)));
      }
      const pageCount = this.#page - first;
      if (pageCount > 0) {
        return pagesParcel('push', run.task, run.vaddr + BigInt(first * PAGE_BYTES), pageCount);
      }
    }
    return undefined;
  }

  #isDue(run: OrderRun, page: number): boolean {
    const index = this.#map.find(run.task, run.vaddr + BigInt(page * PAGE_BYTES));
    return index >= 0 && !this.#map.isSent(index);
  }
}
