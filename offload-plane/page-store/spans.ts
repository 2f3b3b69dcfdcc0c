/**
 * Joins what lies near each other in one file into one read. Where a few pages of a long run were stored
 * anew, the run and the new pages take two reads and not one for every piece.
 */
import { PAGE_BYTES } from './limits.ts';
import { locatePages, type Origin } from './origins.ts';

/** Reading over a gap of up to 64 KiB is cheaper than a second read. */
const GAP_PAGES = 16;

export interface Span {
  file: number;
  filePage: number;
  pageCount: number;
  /** What of it is wanted. */
  parts: Origin[];
}

export function planSpans(origins: readonly Origin[], storedPage: number, pageCount: number): Span[] {
  const spans: Span[] = [];
  const lastOf = new Map<number, Span>();
  for (const part of locatePages(origins, storedPage, pageCount)) {
    const last = lastOf.get(part.file);
    const gap = last === undefined ? -1 : part.filePage - (last.filePage + last.pageCount);
    if (last !== undefined && gap >= 0 && gap <= GAP_PAGES) {
      last.pageCount += gap + part.pageCount;
      last.parts.push(part);
      continue;
    }
    const { file, filePage } = part;
    const span = { file, filePage, pageCount: part.pageCount, parts: [part] };
    spans.push(span);
    lastOf.set(file, span);
  }
  return spans;
}

/** Where to read a span to: straight to its place, or beside it when there is more in it than is wanted. */
export function spanBuffer(span: Span, storedPage: number, into: Buffer, offset: number): Buffer {
  const [first] = span.parts as [Origin];
  if (span.parts.length > 1) return Buffer.allocUnsafe(span.pageCount * PAGE_BYTES);
  const start = offset + (first.firstStoredPage - storedPage) * PAGE_BYTES;
  return into.subarray(start, start + span.pageCount * PAGE_BYTES);
}

/** Puts what was read beside its place there. */
export function placeSpan(span: Span, from: Buffer, storedPage: number, into: Buffer, offset: number): void {
  if (span.parts.length === 1) return;
  for (const { firstStoredPage, filePage, pageCount } of span.parts) {
    const start = (filePage - span.filePage) * PAGE_BYTES;
    from.copy(
      into,
      offset + (firstStoredPage - storedPage) * PAGE_BYTES,
      start,
      start + pageCount * PAGE_BYTES,
    );
  }
}
