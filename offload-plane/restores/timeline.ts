/**
 * How the pages of one restore came: what was sent by when, and when what happened. Bounded however long the
 * restore takes: when the samples are full, every second one goes and they are taken half as often.
 */
import type { PageSession, SessionCounters } from '../page-server/contract.ts';

/** Pages sent until then, by why. */
export interface TimelineSample {
  /** Since the restore request. */
  atMs: number;
  filePageCount: number;
  pushedPageCount: number;
  demandedPageCount: number;
  filledPageCount: number;
  faultCount: number;
}

/**
 * What happened: the pager connected, CRIU let the tasks go, the container's call was answered, the first byte
 * of a response passed a published port, the last page was in place, or it failed.
 */
export type TimelineMark = 'connected' | 'restored' | 'running' | 'firstResponse' | 'complete' | 'failed';

export interface TimelineMarkAt {
  atMs: number;
  mark: TimelineMark;
}

export interface TimelineView {
  samples: TimelineSample[];
  marks: TimelineMarkAt[];
  /** No more pages come. */
  ended: boolean;
}

export interface Timeline {
  /** Each mark counts once, the first time. */
  mark(mark: TimelineMark): void;
  view(): TimelineView;
}

export const MAX_SAMPLES = 400;
/** Of a restore that is over; many of those are kept. */
export const MAX_KEPT_SAMPLES = 100;
const FIRST_INTERVAL_MS = 1;

/** @param elapsedMs since the restore request */
export function createTimeline(
  session: Pick<PageSession, 'events' | 'counters'>,
  elapsedMs: () => number,
): Timeline {
  let samples: TimelineSample[] = [sampleOf(session.counters(), 0)];
  /** The latest state, while it is too early for the next sample. */
  let pending: TimelineSample | undefined;
  let intervalMs = FIRST_INTERVAL_MS;
  let ended = false;
  const marks: TimelineMarkAt[] = [];

  function take(): void {
    if (ended) return;
    const sample = sampleOf(session.counters(), elapsedMs());
    // After a pause, what was true until now is a sample of its own: else the pause would look like a slope.
    if (pending !== undefined && sample.atMs - samples.at(-1)!.atMs >= intervalMs) keep(pending);
    pending = sample;
  }

  function keep(sample: TimelineSample): void {
    samples.push(sample);
    if (samples.length < MAX_SAMPLES) return;
    samples = thinned(samples, MAX_SAMPLES / 2);
    intervalMs *= 2;
  }

  function mark(name: TimelineMark): void {
    if (marks.some((known) => known.mark === name)) return;
    if (ended) {
      // Of a container that had all of its pages before it was asked anything.
      if (name === 'firstResponse') marks.push({ atMs: elapsedMs(), mark: name });
      return;
    }
    take();
    marks.push({ atMs: pending!.atMs, mark: name });
    if (name !== 'complete' && name !== 'failed') return;
    ended = true;
    samples = [...thinned(samples, MAX_KEPT_SAMPLES - 1), pending!];
    pending = undefined;
  }

  session.events.on('pages', take);
  session.events.on('connected', () => mark('connected'));
  session.events.on('restored', () => mark('restored'));
  return {
    mark,
    view: () => ({
      samples: pending === undefined ? [...samples] : [...samples, pending],
      marks: [...marks],
      ended,
    }),
  };
}

/** At most `maxCount` of them, evenly chosen, the first and the last among them. */
function thinned(samples: readonly TimelineSample[], maxCount: number): TimelineSample[] {
  if (samples.length <= maxCount) return [...samples];
  const step = (samples.length - 1) / (maxCount - 1);
  return Array.from({ length: maxCount }, (_, index) => samples[Math.round(index * step)]!);
}

function sampleOf(counters: SessionCounters, atMs: number): TimelineSample {
  return {
    atMs: Math.round(atMs * 1000) / 1000,
    filePageCount: counters.fileSent,
    pushedPageCount: counters.pushSent,
    demandedPageCount: counters.demandSent,
    filledPageCount: counters.fillSent,
    faultCount: counters.faultCount,
  };
}
