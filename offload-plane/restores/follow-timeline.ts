/** A timeline as lines of JSON while it grows. A slow reader misses samples in between, and no mark. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Timeline, TimelineMarkAt, TimelineSample } from './timeline.ts';

export type TimelineLine = { sample: TimelineSample } | { mark: TimelineMarkAt };

const LOOK_INTERVAL_MS = 50;

/** Ends with the restore. What has been said is told by its time, as older samples are thinned out meanwhile. */
export async function* followTimeline(timeline: Pick<Timeline, 'view'>): AsyncGenerator<string> {
  let saidMs = -1;
  let saidMarkCount = 0;
  for (;;) {
    const { samples, marks, ended } = timeline.view();
    const news = samples.filter((sample) => sample.atMs > saidMs);
    saidMs = news.at(-1)?.atMs ?? saidMs;
    const lines: TimelineLine[] = [
      ...news.map((sample) => ({ sample })),
      ...marks.slice(saidMarkCount).map((mark) => ({ mark })),
    ];
    saidMarkCount = marks.length;
    if (lines.length > 0) yield lines.map((line) => `${JSON.stringify(line)}\n`).join('');
    if (ended) return;
    await delay(LOOK_INTERVAL_MS);
  }
}
