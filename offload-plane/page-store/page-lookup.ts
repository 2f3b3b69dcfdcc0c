/** Finds pages by address: segments grouped by target, searched by halving. */
import { OffloadError } from '../../platform/errors.ts';
import type { PageTarget, Segment } from './contract.ts';
import { type PageIndex, targetKey } from './index-format.ts';
import { PAGE_BYTES } from './limits.ts';

/** Part of a segment. `storedPage` is meaningless when zero. */
export interface Piece {
  zero: boolean;
  storedPage: number;
  pageCount: number;
}

export class PageLookup {
  readonly #byTarget = new Map<string, readonly Segment[]>();
  readonly #subject: string;

  constructor(index: PageIndex, subject: string) {
    this.#subject = subject;
    for (const target of index.targets) this.#byTarget.set(targetKey(target), []);
    for (const segment of index.segments) {
      (this.#byTarget.get(targetKey(segment)) as Segment[]).push(segment);
    }
  }

  /** The segment with this page, if there is one. */
  find(target: PageTarget, vaddr: bigint): Segment | undefined {
    const segments = this.#byTarget.get(targetKey(target));
    if (segments === undefined) return undefined;
    let low = 0;
    let high = segments.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (segments[middle]!.vaddr <= vaddr) low = middle + 1;
      else high = middle;
    }
    const segment = segments[low - 1];
    if (segment === undefined) return undefined;
    return vaddr < segment.vaddr + BigInt(segment.pageCount * PAGE_BYTES) ? segment : undefined;
  }

  /** Index of the page in the pages file; -1 for a zero page, undefined when there is no such page. */
  storedPage(target: PageTarget, vaddr: bigint): number | undefined {
    const segment = this.find(target, vaddr);
    if (segment === undefined) return undefined;
    return segment.zero ? -1 : segment.firstStoredPage + Number(vaddr - segment.vaddr) / PAGE_BYTES;
  }

  /** The pieces a range consists of, in order. @throws {OffloadError} not_found, naming the first hole. */
  pieces(target: PageTarget, vaddr: bigint, pageCount: number): Piece[] {
    const pieces: Piece[] = [];
    let remaining = pageCount;
    let at = vaddr;
    while (remaining > 0) {
      const segment = this.find(target, at);
      if (segment === undefined || at % BigInt(PAGE_BYTES) !== 0n) throw this.#missing(target, at);
      const skipped = Number(at - segment.vaddr) / PAGE_BYTES;
      const count = Math.min(remaining, segment.pageCount - skipped);
      pieces.push({ zero: segment.zero, storedPage: segment.firstStoredPage + skipped, pageCount: count });
      remaining -= count;
      at += BigInt(count * PAGE_BYTES);
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
