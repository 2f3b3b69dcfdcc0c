/** Finds pages: by address among the segments of a target, by number among the stored ones. */
import { OffloadError } from '../../platform/errors.ts';
import type { PageTarget, Segment } from './contract.ts';
import type { PageIndex } from './index-format.ts';
import { PAGE_BYTES } from './limits.ts';

/** Part of a segment. `storedPage` is meaningless when zero. */
export interface Piece {
  zero: boolean;
  storedPage: number;
  pageCount: number;
}

const PAGE_SHIFT = 12n;
/** Address / 4096: exact in a double. */
const pageAt = (vaddr: bigint) => Number(vaddr >> PAGE_SHIFT);

/** Segments in the order of their first pages, which are searched by halving. */
class SegmentTable {
  readonly segments: readonly Segment[];
  readonly #firstPages: Float64Array;

  constructor(segments: readonly Segment[], firstPageOf: (segment: Segment) => number) {
    this.segments = segments;
    this.#firstPages = Float64Array.from(segments, firstPageOf);
  }

  /** The index of the segment with this page, or -1. */
  find(page: number): number {
    const firstPages = this.#firstPages;
    let low = 0;
    let high = firstPages.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (firstPages[middle]! <= page) low = middle + 1;
      else high = middle;
    }
    const index = low - 1;
    return index >= 0 && page < firstPages[index]! + this.segments[index]!.pageCount ? index : -1;
  }

  /** How many pages of the segment come before this one. */
  skipped(index: number, page: number): number {
    return page - this.#firstPages[index]!;
  }
}

export class PageLookup {
  readonly #byTarget = { task: new Map<number, SegmentTable>(), shmem: new Map<number, SegmentTable>() };
  readonly #stored: SegmentTable;
  readonly #subject: string;

  constructor(index: PageIndex, subject: string) {
    this.#subject = subject;
    const byTarget = { task: new Map<number, Segment[]>(), shmem: new Map<number, Segment[]>() };
    for (const { kind, id } of index.targets) byTarget[kind].set(id, []);
    for (const segment of index.segments) byTarget[segment.kind].get(segment.id)!.push(segment);
    for (const kind of ['task', 'shmem'] as const) {
      for (const [id, segments] of byTarget[kind]) {
        this.#byTarget[kind].set(id, new SegmentTable(segments, ({ vaddr }) => pageAt(vaddr)));
      }
    }
    const stored = index.segments.filter((segment) => !segment.zero);
    stored.sort((a, b) => a.firstStoredPage - b.firstStoredPage);
    this.#stored = new SegmentTable(stored, ({ firstStoredPage }) => firstStoredPage);
  }

  /** Those that are not zero, in the order of their stored pages. */
  get storedSegments(): readonly Segment[] {
    return this.#stored.segments;
  }

  /** The segment that a stored page is of. */
  storedSegment(storedPage: number): Segment {
    const segment = this.#stored.segments[this.#stored.find(storedPage)];
    if (segment !== undefined) return segment;
    throw new OffloadError('not_found', `page store read ${this.#subject}: no stored page ${storedPage}`);
  }

  /** The segment with this page, if there is one. */
  find(target: PageTarget, vaddr: bigint): Segment | undefined {
    const table = this.#byTarget[target.kind].get(target.id);
    return table?.segments[table.find(pageAt(vaddr))];
  }

  /** Index of the page in the pages file; -1 for a zero page, undefined when there is no such page. */
  storedPage(target: PageTarget, vaddr: bigint): number | undefined {
    const table = this.#byTarget[target.kind].get(target.id);
    if (table === undefined) return undefined;
    const page = pageAt(vaddr);
    const index = table.find(page);
    const segment = table.segments[index];
    if (segment === undefined) return undefined;
    return segment.zero ? -1 : segment.firstStoredPage + table.skipped(index, page);
  }

  /** The pieces a range consists of, in order. @throws {OffloadError} not_found, naming the first hole. */
  pieces(target: PageTarget, vaddr: bigint, pageCount: number): Piece[] {
    const pieces: Piece[] = [];
    const table = this.#byTarget[target.kind].get(target.id);
    const first = pageAt(vaddr);
    if (table === undefined || vaddr % BigInt(PAGE_BYTES) !== 0n) throw this.#missing(target, vaddr);
    for (let done = 0; done < pageCount; ) {
      const index = table.find(first + done);
      const segment = table.segments[index];
      if (segment === undefined) throw this.#missing(target, vaddr + BigInt(done * PAGE_BYTES));
      const skipped = table.skipped(index, first + done);
      const count = Math.min(pageCount - done, segment.pageCount - skipped);
      pieces.push({ zero: segment.zero, storedPage: segment.firstStoredPage + skipped, pageCount: count });
      done += count;
    }
    return pieces;
  }

  #missing(target: PageTarget, vaddr: bigint): OffloadError {
    return new OffloadError(
      'not_found',
      `page store read ${this.#subject}: ${target.kind} ${target.id} has no page at 0x${vaddr.toString(16)}`,
    );
  }
}
