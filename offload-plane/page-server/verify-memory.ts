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
  /** Sum over the pages of the map that were sent, and over the file pages. */
  sentMapDigest: bigint;
  fileDigest: bigint;
  unsent: readonly PageRange[];
  /** Pages the pager named as dropped: the program had unmapped or discarded them first. */
  dropped: readonly PageRange[];
}

export function checkMemory(check: MemoryCheck): { memoryVerified: boolean; expectedDigest: bigint } {
  const { reader, counters, plan } = check;
  const mapDigest = addDigests(check.sentMapDigest, reader.memoryDigest(toTargetRanges(check.unsent)));
  const droppedDigest = reader.memoryDigest(toTargetRanges(check.dropped));
  const filesWhole = counters.filePages === plan.filePageCount;
  const mapWhole =
    counters.memoryDigest === mapDigest ||
    counters.memoryDigest === subtractDigests(mapDigest, droppedDigest);
  return { memoryVerified: filesWhole && mapWhole, expectedDigest: addDigests(mapDigest, check.fileDigest) };
}
