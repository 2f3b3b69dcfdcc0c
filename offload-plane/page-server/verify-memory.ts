/**
 * Compares what the pager says is in place with the checkpoint. The sums are made of page digests and
 * addresses, so a wrong, missing, doubled or misplaced page shows.
 */
import type { PageRange, PagerCounters } from '../../interconnect/page-protocol.ts';
import type { CheckpointReader, TargetRange } from '../page-store/contract.ts';
import { addDigests, subtractDigests } from '../page-store/digests.ts';
import type { RestorePlan } from './plan.ts';

export function toTargetRanges(ranges: readonly PageRange[]): TargetRange[] {
  return ranges.map(({ task, vaddr, pageCount }) => ({
    target: { kind: 'task', id: task },
    vaddr,
    pageCount,
  }));
}

export interface MemoryCheck {
  reader: CheckpointReader;
  plan: RestorePlan;
  counters: PagerCounters;
  /** Pages the pager named as dropped: the program had unmapped or discarded them first. */
  dropped: readonly PageRange[];
}

export function checkMemory(check: MemoryCheck): { memoryVerified: boolean; expectedDigest: bigint } {
  const { reader, counters, plan } = check;
  const mapDigest = reader.memoryDigest(toTargetRanges(plan.map));
  const fileDigest = reader.memoryDigest(plan.files);
  const droppedDigest = reader.memoryDigest(toTargetRanges(check.dropped));
  const filesWhole = counters.filePages === plan.filePageCount;
  const mapWhole =
    counters.memoryDigest === mapDigest ||
    counters.memoryDigest === subtractDigests(mapDigest, droppedDigest);
  return { memoryVerified: filesWhole && mapWhole, expectedDigest: addDigests(mapDigest, fileDigest) };
}
