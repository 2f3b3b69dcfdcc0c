/** Memory of a task by mapping: CRIU's VMAs, joined with what of them is in the store. */
import { invalidImage } from '../../criu-images/image-file.ts';
import type { MmEntry, VmaEntry } from '../../criu-images/messages.ts';
import type { Message } from '../../criu-images/wire.ts';
import { PAGE_BYTES } from '../../page-store/limits.ts';
import type { MappingView } from './contract.ts';
import { pathOf } from './handles.ts';
import type { FileTable } from './images.ts';

/** A run of pages: a segment of the store, or a page of an order log. */
export interface PageRun {
  vaddr: bigint;
  pageCount: number;
}

export interface Mapping {
  start: bigint;
  end: bigint;
  view: MappingView;
}

type Vma = Message<typeof VmaEntry>;

/** CRIU's VMA_AREA_* and VMA_*, the most telling first. */
const KINDS: readonly [number, string][] = [
  [1 << 2, 'vsyscall'],
  [1 << 3, 'vdso'],
  [1 << 12, 'vvar'],
  [1 << 13, 'aio ring'],
  [1 << 10, 'system v shared'],
  [1 << 14, 'memfd'],
  [1 << 15, 'shadow stack'],
  [1 << 16, 'guard'],
  [1 << 11, 'socket'],
  [1 << 1, 'stack'],
  [1 << 5, 'heap'],
  [1 << 6, 'file'],
  [1 << 7, 'shared file'],
  [1 << 8, 'shared'],
  [1 << 9, 'anonymous'],
];
const HAS_FILE = (1 << 6) | (1 << 7) | (1 << 14);
const HAS_SHARED_MEMORY = (1 << 8) | (1 << 10);
const MAP_SHARED = 1;

/** Sorted by address. @throws {OffloadError} invalid_checkpoint: they overlap, or are no whole pages */
export function mappingsOf(pid: number, mm: Message<typeof MmEntry>, files: FileTable): Mapping[] {
  const mappings = mm.mappings.map((vma) => ({
    start: vma.start,
    end: vma.end,
    view: viewOf(vma, files, vma.start <= mm.stackStart && mm.stackStart < vma.end),
  }));
  mappings.sort((a, b) => (a.start < b.start ? -1 : 1));
  let before = 0n;
  for (const { start, end, view } of mappings) {
    if (start < before || end <= start || (start | end) % BigInt(PAGE_BYTES) !== 0n) {
      throw invalidImage(`mm-${pid}.img`, `its mapping ${view.start}-${view.end} cannot be one`);
    }
    before = end;
  }
  return mappings;
}

function viewOf(vma: Vma, files: FileTable, isStack: boolean): MappingView {
  const { start, end, status, protection, flags, offset, sharedId } = vma;
  const letters = ['r', 'w', 'x'].map((letter, bit) => ((protection & (1 << bit)) !== 0 ? letter : '-'));
  const ofFile = (status & HAS_FILE) !== 0;
  const kind = KINDS.find(([bit]) => (status & bit) !== 0)?.[1] ?? 'other';
  return {
    start: hex(start),
    end: hex(end),
    // CRIU marks a stack only where the kernel says that it grows.
    kind: isStack && kind === 'anonymous' ? 'stack' : kind,
    protection: `${letters.join('')}${(flags & MAP_SHARED) !== 0 ? 's' : 'p'}`,
    ...(ofFile ? { ...pathOf(Number(sharedId), files), fileOffset: hex(offset) } : {}),
    ...((status & HAS_SHARED_MEMORY) !== 0 ? { sharedMemory: Number(sharedId) } : {}),
    storedPageCount: 0,
    zeroPageCount: 0,
  };
}

/** Tells `count` which pages of the run are in which mapping; undefined: in none, which CRIU never writes. */
export function spread(
  mappings: readonly Mapping[],
  { vaddr, pageCount }: PageRun,
  count: (mapping: Mapping | undefined, vaddr: bigint, pageCount: number) => void,
): void {
  const end = vaddr + BigInt(pageCount * PAGE_BYTES);
  let index = lastBefore(mappings, vaddr);
  for (let at = vaddr; at < end; ) {
    const mapping = mappings[index];
    const inside = mapping !== undefined && at < mapping.end ? mapping : undefined;
    const boundary = inside?.end ?? mappings[index + 1]?.start ?? end;
    const until = boundary < end ? boundary : end;
    count(inside, at, Number((until - at) / BigInt(PAGE_BYTES)));
    at = until;
    if (mappings[index + 1]?.start === at || (inside === undefined && at < end)) index += 1;
  }
}

/** Index of the last mapping that begins at this address or before, or -1. */
function lastBefore(mappings: readonly Mapping[], address: bigint): number {
  let low = 0;
  let high = mappings.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (mappings[middle]!.start <= address) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

const hex = (address: bigint): string => `0x${address.toString(16)}`;
