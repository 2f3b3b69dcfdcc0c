/**
 * Collects the demand faults of one restore. Pushed pages never come here: a log of what was pushed
 * would only repeat the log it was pushed from.
 */
import type { OrderEntry } from './contract.ts';
import { PageSet } from './page-set.ts';

/** 4 GiB of working set; a guest that faults on more is not recorded any further. */
const MAX_ENTRIES = 1 << 20;

export class OrderRecorder {
  readonly #entries: OrderEntry[] = [];
  readonly #seen = new PageSet();
  readonly #maxEntries: number;

  constructor(options: { maxEntries?: number } = {}) {
    this.#maxEntries = options.maxEntries ?? MAX_ENTRIES;
  }

  get entries(): readonly OrderEntry[] {
    return this.#entries;
  }

  /** Only a page's first fault counts; false when it is not taken. */
  record(entry: OrderEntry): boolean {
    if (this.#entries.length >= this.#maxEntries) return false;
    if (!this.#seen.add(entry.task, entry.vaddr)) return false;
    this.#entries.push(entry);
    return true;
  }
}

/** One order from several recordings: each page where the first log that knows it has it. */
export function mergeEntries(logs: readonly (readonly OrderEntry[])[]): OrderEntry[] {
  const recorder = new OrderRecorder();
  for (const entries of logs) for (const entry of entries) recorder.record(entry);
  return [...recorder.entries];
}
