/** Other orders of a recorded working set, for comparisons. */
import type { OrderEntry } from '../../offload-plane/order-log/contract.ts';
import type { Derivation } from './plane-protocol.ts';

/** `stale`: half of the pages are still the right ones, in their order; the rest comes from `other`. */
export function derive(
  entries: readonly OrderEntry[],
  how: Derivation,
  other: readonly OrderEntry[],
): OrderEntry[] {
  if (how === 'stale') return entries.map((entry, i) => (i % 2 === 0 ? entry : (other[i] ?? entry)));
  if (how === 'reversed') return [...entries].reverse();
  if (how === 'sorted') return [...entries].sort(byAddress);
  return shuffled(entries);
}

function byAddress(a: OrderEntry, b: OrderEntry): number {
  return a.task - b.task || (a.vaddr < b.vaddr ? -1 : Number(a.vaddr > b.vaddr));
}

/** The same shuffle every time: runs stay comparable. */
function shuffled(entries: readonly OrderEntry[]): OrderEntry[] {
  const list = [...entries];
  let state = 1;
  for (let i = list.length - 1; i > 0; i--) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    const j = Math.floor((state / 2 ** 32) * (i + 1));
    [list[i], list[j]] = [list[j]!, list[i]!];
  }
  return list;
}
