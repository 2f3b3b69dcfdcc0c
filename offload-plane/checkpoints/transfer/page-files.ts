/** A target's memory as CRIU's own dump would have left it: a pagemap, and a file of all its pages in a row. */
import { PagemapFlag } from '../../page-server/criu-wire.ts';
import { encodePagemapImage, type PagemapEntry } from '../../page-server/pagemap-image.ts';
import type { CheckpointReader, PageTarget, Segment } from '../../page-store/contract.ts';
import { MAX_APPEND_BYTES, PAGE_BYTES } from '../../page-store/limits.ts';

const PAGES_PER_READ = MAX_APPEND_BYTES / PAGE_BYTES;

export interface PageFiles {
  target: PageTarget;
  pagemapName: string;
  pagemap: Buffer;
  pagesName: string;
  pagesBytes: number;
  segments: readonly Segment[];
}

export function pageFilesOf(reader: CheckpointReader): PageFiles[] {
  const byTarget = Map.groupBy(reader.segments(), ({ kind, id }) => `${kind}:${id}`);
  return reader.targets().map((target, i) => {
    const segments = byTarget.get(`${target.kind}:${target.id}`) ?? [];
    const pagesId = i + 1;
    return {
      target,
      pagemapName: target.kind === 'task' ? `pagemap-${target.id}.img` : `pagemap-shmem-${target.id}.img`,
      pagemap: encodePagemapImage(pagesId, pagemapEntries(segments)),
      pagesName: `pages-${pagesId}.img`,
      pagesBytes: segments.reduce((sum, { pageCount }) => sum + pageCount * PAGE_BYTES, 0),
      segments,
    };
  });
}

/** Zero pages are written out, so that every reader of CRIU's images finds them. */
function pagemapEntries(segments: readonly Segment[]): PagemapEntry[] {
  const entries: PagemapEntry[] = [];
  for (const { vaddr, pageCount, lazy } of segments) {
    const flags = PagemapFlag.PRESENT | (lazy ? PagemapFlag.LAZY : 0);
    const last = entries.at(-1);
    const follows = last !== undefined && last.vaddr + BigInt(last.pageCount * PAGE_BYTES) === vaddr;
    if (follows && last.flags === flags) last.pageCount += pageCount;
    else entries.push({ vaddr, pageCount, flags });
  }
  return entries;
}

/** @throws {OffloadError} corrupt_page */
export async function* pagesOf(
  reader: CheckpointReader,
  { target, segments }: PageFiles,
): AsyncGenerator<Buffer> {
  for (const { vaddr, pageCount } of segments) {
    for (let first = 0; first < pageCount; first += PAGES_PER_READ) {
      const count = Math.min(PAGES_PER_READ, pageCount - first);
      yield await reader.readPages(target, vaddr + BigInt(first * PAGE_BYTES), count);
    }
  }
}
