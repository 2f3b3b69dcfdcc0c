/**
 * Brings pages into the page cache ahead of their use: in file order, neighbours joined, so that a
 * working set scattered over the files costs the device few large reads.
 */
import { MIB } from '../../platform/units.ts';
import type { CheckpointFiles } from './checkpoint-files.ts';
import type { TargetRange } from './contract.ts';
import { PAGE_BYTES } from './limits.ts';
import { locatePages } from './origins.ts';

const READ_BYTES = MIB;
/** Reading over a gap of up to 64 KiB is cheaper than a second read. */
const GAP_PAGES = 16;

interface Interval {
  file: number;
  firstPage: number;
  endPage: number;
}

export async function prefetchRanges(files: CheckpointFiles, ranges: readonly TargetRange[]): Promise<void> {
  const scratch = Buffer.allocUnsafeSlow(READ_BYTES);
  try {
    for (const { file, firstPage, endPage } of joinIntervals(toIntervals(files, ranges))) {
      const endByte = endPage * PAGE_BYTES;
      for (let offset = firstPage * PAGE_BYTES; offset < endByte; offset += READ_BYTES) {
        await files.pages.get(file)!.read(scratch, 0, Math.min(READ_BYTES, endByte - offset), offset);
      }
    }
  } catch {
    // only a hint: the read that needs the page reports what is wrong with it
  }
}

function toIntervals(files: CheckpointFiles, ranges: readonly TargetRange[]): Interval[] {
  const intervals: Interval[] = [];
  for (const range of ranges) {
    for (const piece of files.lookup.pieces(range.target, range.vaddr, range.pageCount)) {
      if (piece.zero) continue;
      for (const { file, filePage, pageCount } of locatePages(
        files.index.origins,
        piece.storedPage,
        piece.pageCount,
      )) {
        intervals.push({ file, firstPage: filePage, endPage: filePage + pageCount });
      }
    }
  }
  return intervals.sort((a, b) => a.file - b.file || a.firstPage - b.firstPage);
}

function joinIntervals(intervals: readonly Interval[]): Interval[] {
  const joined: Interval[] = [];
  for (const interval of intervals) {
    const last = joined.at(-1);
    if (last?.file === interval.file && interval.firstPage <= last.endPage + GAP_PAGES) {
      last.endPage = Math.max(last.endPage, interval.endPage);
    } else joined.push({ ...interval });
  }
  return joined;
}
