/**
 * The order log: pages in the order in which a restored container first touched them. Recorded from
 * demand faults, kept beside the checkpoint it was recorded from, and used by later restores.
 */

/** The log as it lies on the device; order-log/format.ts knows what is in it. */
export type OrderLogBytes = Buffer;

/** One demand fault. `vaddr` is page-aligned and as of the checkpoint. */
export interface OrderEntry {
  task: number;
  vaddr: bigint;
  /** Since the pager's start. */
  timeUs: number;
}

/** Pages that were touched one after the other and lie one after the other. */
export interface OrderRun {
  task: number;
  vaddr: bigint;
  pageCount: number;
}

/** A log that belongs to the checkpoint it was loaded for. */
export interface OrderLog {
  /** The checkpoint's memory digest. */
  digest: string;
  entries: readonly OrderEntry[];
  /** The entries merged, in recorded order. */
  runs: readonly OrderRun[];
  workingSet: WorkingSet;
}

/** The log's pages as a set. */
export interface WorkingSet {
  readonly pageCount: number;
  has(task: number, vaddr: bigint): boolean;
  /** Page numbers (address / 4096) of a task, ascending. */
  pagesOf(task: number): readonly number[];
}

export type OrderLogIgnored = 'absent' | 'foreign' | 'corrupt' | 'unknown_version';

export type LoadedOrderLog = { log: OrderLog } | { ignored: OrderLogIgnored };
