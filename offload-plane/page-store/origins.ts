/**
 * Where stored pages lie. A checkpoint numbers its stored pages from 0, as `checksums` lists them; an
 * origin says in which file a run of them is: its own `pages`, or that of an earlier checkpoint.
 */

export interface Origin {
  firstStoredPage: number;
  /** 0: `pages`; n: `shared-n`. */
  file: number;
  filePage: number;
  pageCount: number;
}

/** Collects origins as pages come; what follows on is joined. */
export class OriginList {
  readonly origins: Origin[] = [];
  #storedPageCount = 0;

  add(file: number, filePage: number, pageCount: number): void {
    const last = this.origins.at(-1);
    if (last?.file === file && last.filePage + last.pageCount === filePage) last.pageCount += pageCount;
    else this.origins.push({ firstStoredPage: this.#storedPageCount, file, filePage, pageCount });
    this.#storedPageCount += pageCount;
  }
}

/** The parts that `pageCount` stored pages from `storedPage` on consist of, in order. */
export function locatePages(origins: readonly Origin[], storedPage: number, pageCount: number): Origin[] {
  const parts: Origin[] = [];
  const end = storedPage + pageCount;
  for (let i = indexOf(origins, storedPage); i < origins.length; i++) {
    const origin = origins[i]!;
    if (origin.firstStoredPage >= end) break;
    const from = Math.max(storedPage, origin.firstStoredPage);
    const to = Math.min(end, origin.firstStoredPage + origin.pageCount);
    const filePage = origin.filePage + from - origin.firstStoredPage;
    parts.push({ firstStoredPage: from, file: origin.file, filePage, pageCount: to - from });
  }
  return parts;
}

/** The last origin that begins at or before the page. */
function indexOf(origins: readonly Origin[], storedPage: number): number {
  let low = 0;
  let high = origins.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (origins[middle]!.firstStoredPage <= storedPage) low = middle + 1;
    else high = middle;
  }
  return Math.max(0, low - 1);
}
