/** Which checkpoints go to make room: those not used for the longest time, of those that may go. */
import type { Ledger } from './ledger.ts';

export interface EvictionCandidate {
  id: string;
  lastUsedMs: number;
}

/**
 * The checkpoints to remove, in order, so that the store takes at most `targetBytes`, or as far as it goes
 * (`enough`). One whose pages others share stays until those others are gone: it would free nothing.
 * @param candidates neither open nor pinned
 */
export function planEviction(
  candidates: readonly EvictionCandidate[],
  ledger: Ledger,
  targetBytes: number,
): { ids: string[]; enough: boolean } {
  const trial = ledger.clone();
  const left = [...candidates].sort((a, b) => a.lastUsedMs - b.lastUsedMs || (a.id < b.id ? -1 : 1));
  const ids: string[] = [];
  while (trial.bytes > targetBytes) {
    const next = left.findIndex(({ id }) => !trial.isShared(id));
    if (next < 0) return { ids, enough: false };
    const [{ id }] = left.splice(next, 1) as [EvictionCandidate];
    trial.remove(id);
    ids.push(id);
  }
  return { ids, enough: true };
}
