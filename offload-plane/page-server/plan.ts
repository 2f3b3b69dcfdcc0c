/**
 * What a restore under a policy consists of: which pages CRIU installs from files, which the pager is
 * responsible for, and the pagemaps that tell CRIU so. Pure: from the checkpoint's segments alone.
 *
 * Zero pages that CRIU may restore lazily, and those of shared memory, are in neither: such memory is
 * zero when it is made, and the pager answers a fault on it in the guest. Other zero pages have to be
 * written: they may hide the content of a privately mapped file (a program's .data, for one).
 */
import { createHash } from 'node:crypto';
import { PAGE_BYTES, type PageRange } from '../../interconnect/page-protocol.ts';
import type { OrderLog } from '../order-log/contract.ts';
import type { CheckpointReader, PageTarget, Segment } from '../page-store/contract.ts';
import type { Policy } from './contract.ts';
import { PagemapFlag } from './criu-wire.ts';
import { encodePagemapImage, type PagemapEntry } from './pagemap-image.ts';

const PAGE_SHIFT = 12n;

/** Pages that land in pages-<pagesId>.img at `offsetBytes`. */
export interface FileRun {
  pagesId: number;
  offsetBytes: number;
  target: PageTarget;
  vaddr: bigint;
  pageCount: number;
}

export interface RestorePlan {
  effectivePolicy: Policy;
  images: { name: string; bytes: Buffer }[];
  files: FileRun[];
  filePageCount: number;
  /** Sorted by task and address. */
  map: PageRange[];
  mappedPageCount: number;
}

/** Of the policy whose plan depends on the log; the others cost next to nothing. */
const prefillPlans = new WeakMap<OrderLog, RestorePlan>();

export function planRestore(
  reader: CheckpointReader,
  policy: Policy,
  orderLog: OrderLog | undefined,
): RestorePlan {
  const usable = orderLog?.digest === reader.manifest.digest ? orderLog : undefined;
  const known = usable && policy === 'prefill' ? prefillPlans.get(usable) : undefined;
  if (known !== undefined) return known;
  const plan = makePlan(reader, policy, usable);
  if (usable && policy === 'prefill') prefillPlans.set(usable, plan);
  return plan;
}

/** Pagemaps say of each page whether it comes from a file or by the pager. */
export function digestOfPlan(plan: RestorePlan): string {
  const hash = createHash('sha256');
  for (const { name, bytes } of plan.images) hash.update(`${name} ${bytes.length}\n`).update(bytes);
  return hash.digest('hex');
}

function makePlan(reader: CheckpointReader, policy: Policy, usable: OrderLog | undefined): RestorePlan {
  const needsLog = policy === 'ordered' || policy === 'prefill';
  const effectivePolicy = needsLog && usable === undefined ? 'lazy' : policy;
  const plan: RestorePlan = {
    effectivePolicy,
    images: [],
    files: [],
    filePageCount: 0,
    map: [],
    mappedPageCount: 0,
  };
  const byTarget = Map.groupBy(reader.segments(), (segment) => `${segment.kind}:${segment.id}`);
  reader.targets().forEach((target, i) => {
    const segments = byTarget.get(`${target.kind}:${target.id}`) ?? [];
    const workingPages =
      policy === 'prefill' && target.kind === 'task' ? usable?.workingSet.pagesOf(target.id) : undefined;
    planTarget(plan, target, i + 1, segments, workingPages);
  });
  return plan;
}

function planTarget(
  plan: RestorePlan,
  target: PageTarget,
  pagesId: number,
  segments: readonly Segment[],
  workingPages: readonly number[] | undefined,
): void {
  const entries: PagemapEntry[] = [];
  let offsetBytes = 0;
  for (const segment of segments) {
    for (const { vaddr, pageCount, how } of splitSegment(plan.effectivePolicy, segment, workingPages)) {
      if (how === 'file') {
        entries.push({ vaddr, pageCount, flags: PagemapFlag.PRESENT });
        plan.files.push({ pagesId, offsetBytes, target, vaddr, pageCount });
        plan.filePageCount += pageCount;
        offsetBytes += pageCount * PAGE_BYTES;
      } else {
        entries.push({ vaddr, pageCount, flags: PagemapFlag.LAZY });
        plan.map.push({ task: target.id, vaddr, pageCount });
        plan.mappedPageCount += pageCount;
      }
    }
  }
  const name = target.kind === 'task' ? `pagemap-${target.id}.img` : `pagemap-shmem-${target.id}.img`;
  plan.images.push({ name, bytes: encodePagemapImage(pagesId, entries) });
}

interface Part {
  vaddr: bigint;
  pageCount: number;
  how: 'file' | 'map';
}

function splitSegment(policy: Policy, segment: Segment, workingPages: readonly number[] | undefined): Part[] {
  const { vaddr, pageCount } = segment;
  const lazy = segment.lazy && segment.kind === 'task';
  if (segment.zero && (lazy || segment.kind === 'shmem')) return [];
  if (!lazy || policy === 'eager') return [{ vaddr, pageCount, how: 'file' }];
  if (workingPages === undefined) return [{ vaddr, pageCount, how: 'map' }];
  return splitByWorkingSet(segment, workingPages);
}

/**
 * Walks the working set, not the segment: a set of a few thousand pages meets segments of hundreds of
 * thousands.
 * @param pages the task's part of the working set, ascending page numbers
 */
function splitByWorkingSet(segment: Segment, pages: readonly number[]): Part[] {
  const first = Number(segment.vaddr >> PAGE_SHIFT);
  const end = first + segment.pageCount;
  const parts: Part[] = [];
  let at = first;
  const add = (until: number, how: Part['how']) => {
    if (until === at) return;
    const vaddr = segment.vaddr + BigInt((at - first) * PAGE_BYTES);
    const last = parts.at(-1);
    if (last?.how === how) last.pageCount += until - at;
    else parts.push({ vaddr, pageCount: until - at, how });
    at = until;
  };
  for (let i = lowerBound(pages, first); i < pages.length && pages[i]! < end; i++) {
    add(pages[i]!, 'map');
    add(pages[i]! + 1, 'file');
  }
  add(end, 'map');
  return parts;
}

/** Index of the first page that is not below `least`. */
function lowerBound(pages: readonly number[], least: number): number {
  let low = 0;
  let high = pages.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (pages[middle]! < least) low = middle + 1;
    else high = middle;
  }
  return low;
}
