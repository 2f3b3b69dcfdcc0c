/** How long to wait before the next try: soon at first, then seldom. */
const FIRST_MS = 50;
const LONGEST_MS = 2_000;

export const backoffMs = (attempt: number): number =>
  Math.min(FIRST_MS * 2 ** Math.min(attempt, 10), LONGEST_MS);
