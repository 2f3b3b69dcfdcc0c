/** When a container that has ended is started again: Docker's rules. Pure. */
import type { ContainerState } from './container.ts';

const FIRST_DELAY_MS = 100;
const LONGEST_DELAY_MS = 60_000;
/** One that ran for so long has not failed to start: it is counted anew. */
export const RAN_WELL_MS = 10_000;

export type Ended = Pick<
  ContainerState,
  'policies' | 'desired' | 'exitCode' | 'restartCount' | 'startedAtMs' | 'finishedAtMs'
>;

export interface Restart {
  delayMs: number;
  /** Starts by the policy in a row, this one included. */
  restartCount: number;
}

/**
 * @param planeStarted whether this is the plane's start: only then `always` brings back what its user stopped
 * @returns undefined: it stays stopped
 */
export function restartOf(container: Ended, planeStarted = false): Restart | undefined {
  const { policies, desired, exitCode = 0, startedAtMs = 0, finishedAtMs = 0 } = container;
  const { name = 'no', maxRetries = Number.POSITIVE_INFINITY } = policies.restart ?? {};
  if (name === 'no') return undefined;
  if (desired === 'stopped' && !(name === 'always' && planeStarted)) return undefined;
  if (name === 'on-failure' && exitCode === 0) return undefined;
  const before = finishedAtMs - startedAtMs >= RAN_WELL_MS ? 0 : container.restartCount;
  if (name === 'on-failure' && before >= maxRetries) return undefined;
  const delayMs = Math.min(FIRST_DELAY_MS * 2 ** Math.min(before, 20), LONGEST_DELAY_MS);
  return { delayMs, restartCount: before + 1 };
}
