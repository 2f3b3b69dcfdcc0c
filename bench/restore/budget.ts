/** How long a section of the bench may take, and what was left out because of it. */

export interface Budget {
  /** Part of it for each of `count` pieces that are still to come. */
  share(count: number): Budget;
  /** Whether work of that length still fits in. */
  hasRoomFor(durationMs: number): boolean;
  /** Notes that something was left out for want of time. */
  cut(what: string): void;
  readonly tookMs: number;
  readonly leftMs: number;
  readonly cuts: readonly string[];
}

export function openBudget(limitMs: number, nowMs: () => number = () => performance.now()): Budget {
  return budgetUntil(nowMs() + limitMs, limitMs, nowMs, []);
}

function budgetUntil(endMs: number, limitMs: number, nowMs: () => number, cuts: string[]): Budget {
  const leftMs = () => Math.max(0, endMs - nowMs());
  return {
    share(count) {
      const partMs = leftMs() / count;
      return budgetUntil(nowMs() + partMs, partMs, nowMs, cuts);
    },
    hasRoomFor: (durationMs) => nowMs() + durationMs <= endMs,
    cut: (what) => {
      cuts.push(what);
    },
    get tookMs() {
      return nowMs() - (endMs - limitMs);
    },
    get leftMs() {
      return leftMs();
    },
    cuts,
  };
}
