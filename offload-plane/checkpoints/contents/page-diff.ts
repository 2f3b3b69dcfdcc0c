/** Which pages two checkpoints have in common, from their checksums alone: no page is read. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { CheckpointReader, PageTarget, Segment } from '../../page-store/contract.ts';
import { PAGE_BYTES } from '../../page-store/limits.ts';
import type { PageDiff } from './diff-contract.ts';

/** Some 2 ms of them. */
const PAGES_PER_TURN = 4_096;

export type PageChange = keyof PageDiff;

export const noPages = (): PageDiff => ({
  equalPageCount: 0,
  changedPageCount: 0,
  addedPageCount: 0,
  removedPageCount: 0,
});

export interface ChangedRun {
  target: PageTarget;
  vaddr: bigint;
  pageCount: number;
  change: PageChange;
}

/** Runs of pages that became of one kind, in the order of the readers' segments. */
export async function* comparePages(
  from: CheckpointReader,
  to: CheckpointReader,
): AsyncGenerator<ChangedRun, void, void> {
  yield* runsOf(to, (target, vaddr) => {
    const before = from.pageDigest(target, vaddr);
    if (before === undefined) return 'addedPageCount';
    return before === to.pageDigest(target, vaddr) ? 'equalPageCount' : 'changedPageCount';
  });
  yield* runsOf(from, (target, vaddr) =>
    to.isZero(target, vaddr) === undefined ? 'removedPageCount' : undefined,
  );
}

async function* runsOf(
  reader: CheckpointReader,
  judge: (target: PageTarget, vaddr: bigint) => PageChange | undefined,
): AsyncGenerator<ChangedRun, void, void> {
  let untilTurn = PAGES_PER_TURN;
  for (const segment of reader.segments()) {
    for (let first = 0; first < segment.pageCount; first += PAGES_PER_TURN) {
      const pageCount = Math.min(PAGES_PER_TURN, segment.pageCount - first);
      yield* joined(segment, first, pageCount, judge);
      untilTurn -= pageCount;
      if (untilTurn > 0) continue;
      untilTurn = PAGES_PER_TURN;
      await nextTurn();
    }
  }
}

function* joined(
  segment: Segment,
  first: number,
  pageCount: number,
  judge: (target: PageTarget, vaddr: bigint) => PageChange | undefined,
): Generator<ChangedRun, void, void> {
  const { kind, id } = segment;
  let run: ChangedRun | undefined;
  for (let page = first; page < first + pageCount; page += 1) {
    const vaddr = segment.vaddr + BigInt(page * PAGE_BYTES);
    const change = judge(segment, vaddr);
    if (run !== undefined && run.change === change) {
      run.pageCount += 1;
      continue;
    }
    if (run !== undefined) yield run;
    run = change === undefined ? undefined : { target: { kind, id }, vaddr, pageCount: 1, change };
  }
  if (run !== undefined) yield run;
}
