/**
 * What MISSING frames say, until they are whole: after a resume what is still to come, before DONE what the
 * program dropped.
 */
import { PAGE_BYTES, type PageRange } from '../../interconnect/page-protocol.ts';
import { violation } from './frame-reader.ts';
import type { MapState } from './map-state.ts';

export class MissingRanges {
  readonly #map: MapState;
  readonly #mappedPageCount: number;
  #ranges: PageRange[] = [];
  #pageCount = 0;

  constructor(map: MapState, mappedPageCount: number) {
    this.#map = map;
    this.#mappedPageCount = mappedPageCount;
  }

  /** @throws {OffloadError} page_protocol_violation: more pages than there are, or others */
  add(ranges: readonly PageRange[]): void {
    for (const { task, vaddr, pageCount } of ranges) {
      this.#pageCount += pageCount;
      if (pageCount === 0 || this.#pageCount > this.#mappedPageCount) {
        throw violation(`more missing pages than the ${this.#mappedPageCount} pages of the map`);
      }
      const lastPage = vaddr + BigInt((pageCount - 1) * PAGE_BYTES);
      if (this.#map.find(task, vaddr) < 0 || this.#map.find(task, lastPage) < 0) {
        throw violation(`missing range of task ${task} outside of the map`);
      }
    }
    this.#ranges.push(...ranges);
  }

  /** What has come since the last one was taken. */
  take(): PageRange[] {
    const ranges = this.#ranges;
    this.clear();
    return ranges;
  }

  clear(): void {
    this.#ranges = [];
    this.#pageCount = 0;
  }
}
