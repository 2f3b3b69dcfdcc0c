/** How soon restores answered, by what was done in the end. */
import type { RestoreView } from '../../restores/restore.ts';

export interface PolicyFigures {
  policy: string;
  restoreCount: number;
  lowestMs: number;
  medianMs: number;
  highestMs: number;
}

const ORDER = ['ordered', 'prefill', 'lazy', 'eager'];

/** Of restores whose first response was seen; a lazy one that recorded counts as lazy. */
export function figuresByPolicy(
  restores: readonly Pick<RestoreView, 'effectivePolicy' | 'firstResponseMs'>[],
): PolicyFigures[] {
  return ORDER.flatMap((policy) => {
    const times = restores
      .filter(({ effectivePolicy }) => effectivePolicy === policy)
      .flatMap(({ firstResponseMs }) => (firstResponseMs === undefined ? [] : [firstResponseMs]))
      .sort((a, b) => a - b);
    if (times.length === 0) return [];
    const middle = times.length / 2;
    const medianMs = (times[Math.ceil(middle) - 1]! + times[Math.floor(middle)]!) / 2;
    return [{ policy, restoreCount: times.length, lowestMs: times[0]!, medianMs, highestMs: times.at(-1)! }];
  });
}
