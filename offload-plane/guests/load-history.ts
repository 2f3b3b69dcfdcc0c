/**
 * A guest's load over the last minutes. The agent is asked only while someone asks the plane, and not more
 * often than once an interval, however many do.
 */
import type { GuestLoad as Figures } from '../../interconnect/agent-api.ts';

/** What waits for it, in percent of the last 10 s; absent where the guest's kernel keeps no account. */
type Pressure = NonNullable<Figures['pressure']>;

export interface GuestLoad {
  /** Milliseconds since the epoch. */
  atMs: number;
  memoryTotalBytes: number;
  memoryAvailableBytes: number;
  /** Of all its processors, since the sample before. */
  cpuShare: number;
  pressure?: Pressure;
}

export interface LoadHistoryDeps {
  ask: () => Promise<Figures>;
  wallMs: () => number;
}

export const MAX_SAMPLES = 120;
export const MIN_INTERVAL_MS = 1_000;

export function createLoadHistory({ ask, wallMs }: LoadHistoryDeps) {
  let samples: GuestLoad[] = [];
  let last: { atMs: number; figures: Figures } | undefined;
  let asking: Promise<void> | undefined;

  async function sample(): Promise<void> {
    const figures = await ask();
    const atMs = wallMs();
    const { memoryTotalBytes, memoryAvailableBytes, pressure } = figures;
    samples = [
      ...samples,
      {
        ...{ atMs, memoryTotalBytes, memoryAvailableBytes },
        cpuShare: last === undefined ? 0 : shareOf(last, { atMs, figures }),
        ...(pressure === undefined ? {} : { pressure }),
      },
    ].slice(-MAX_SAMPLES);
    last = { atMs, figures };
  }

  return {
    /** Oldest first, the last one fresh. */
    async read(): Promise<GuestLoad[]> {
      if (last === undefined || wallMs() - last.atMs >= MIN_INTERVAL_MS) {
        asking ??= sample().finally(() => {
          asking = undefined;
        });
        await asking;
      }
      return samples;
    },
  };
}
export type LoadHistory = ReturnType<typeof createLoadHistory>;

/** Between 0 and 1, whatever the guest says. */
function shareOf(
  before: { atMs: number; figures: Figures },
  now: { atMs: number; figures: Figures },
): number {
  const busyMs = now.figures.cpuBusyMs - before.figures.cpuBusyMs;
  const share = busyMs / ((now.atMs - before.atMs) * now.figures.cpuCount);
  return Math.min(1, Math.max(0, share));
}
