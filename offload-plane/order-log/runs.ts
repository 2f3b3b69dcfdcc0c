/**
 * Merges entries into runs. The rule: pages join only when they are consecutive both in the order and in
 * the address (upwards, same task), and a run has at most 64 pages, one frame. So a run never brings a
 * page before another that was touched earlier.
 */
import { MAX_PAGES_PER_FRAME, PAGE_BYTES } from '../../interconnect/page-protocol.ts';
import type { OrderEntry, OrderRun } from './contract.ts';

export function toRuns(entries: readonly OrderEntry[], maxPages = MAX_PAGES_PER_FRAME): OrderRun[] {
  const runs: OrderRun[] = [];
  let last: OrderRun | undefined;
  for (const { task, vaddr } of entries) {
    const follows =
      last !== undefined &&
      last.task === task &&
      last.pageCount < maxPages &&
      vaddr === last.vaddr + BigInt(last.pageCount * PAGE_BYTES);
    if (follows) last!.pageCount++;
    else {
      last = { task, vaddr, pageCount: 1 };
      runs.push(last);
    }
  }
  return runs;
}
