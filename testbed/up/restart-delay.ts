/** How long a plane that ended is left alone: longer each time it ends soon after its start. */

const FIRST_MS = 250;
const LONGEST_MS = 30_000;
/** One that lived this long was well. */
const SETTLED_MS = 60_000;

export interface Restarts {
  /** Ends in a row that came soon. */
  soonCount: number;
}

export function nextRestart(before: Restarts, livedMs: number): Restarts & { delayMs: number } {
  const soonCount = livedMs >= SETTLED_MS ? 0 : before.soonCount + 1;
  const delayMs = soonCount <= 1 ? FIRST_MS : Math.min(LONGEST_MS, FIRST_MS * 2 ** (soonCount - 1));
  return { soonCount, delayMs };
}
