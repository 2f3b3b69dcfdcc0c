import { EventEmitter } from 'node:events';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { SessionCounters, SessionEvents } from '../../../offload-plane/page-server/contract.ts';
import { followTimeline, type TimelineLine } from '../../../offload-plane/restores/follow-timeline.ts';
import { createTimeline, MAX_KEPT_SAMPLES, MAX_SAMPLES } from '../../../offload-plane/restores/timeline.ts';

/** A session whose time and pages are the test's. */
function makeWorld() {
  const counters: SessionCounters = {
    ...{ mappedPageCount: 0, filePageCount: 0, faultCount: 0, resumeCount: 0 },
    ...{ demandSent: 0, pushSent: 0, fillSent: 0, fileSent: 0 },
  };
  const events = new EventEmitter<SessionEvents>();
  let atMs = 0;
  const timeline = createTimeline({ events, counters: () => ({ ...counters }) }, () => atMs);
  return {
    timeline,
    events,
    at(ms: number, sent: Partial<SessionCounters> = {}): void {
      atMs = ms;
      Object.assign(counters, sent);
      if (Object.keys(sent).length > 0) events.emit('pages');
    },
  };
}

test('what was sent by when is kept by its reason, and a pause stays a step', () => {
  const { timeline, at } = makeWorld();
  at(10, { fileSent: 3 });
  at(20, { pushSent: 64 });
  at(500, { demandSent: 1, faultCount: 1 });
  assert.equal(
    timeline.view().samples.map((sample) => [sample.atMs, ...Object.values(sample).slice(1)]),
    [
      [0, 0, 0, 0, 0, 0],
      [10, 3, 0, 0, 0, 0],
      [20, 3, 64, 0, 0, 0],
      [500, 3, 64, 1, 0, 1],
    ],
  );
});

test('each mark counts once, with its time, and the last one ends the timeline', () => {
  const { timeline, events, at } = makeWorld();
  at(5);
  events.emit('connected');
  at(7);
  events.emit('connected');
  events.emit('restored');
  at(9);
  timeline.mark('firstResponse');
  at(12, { fillSent: 100 });
  timeline.mark('complete');
  at(15, { fillSent: 200 });
  timeline.mark('failed');
  const { marks, samples, ended } = timeline.view();
  assert.equal(
    marks.map(({ atMs, mark }) => [mark, atMs]),
    [
      ['connected', 5],
      ['restored', 7],
      ['firstResponse', 9],
      ['complete', 12],
    ],
  );
  assert.is(ended, true);
  assert.equal([samples.at(-1)?.atMs, samples.at(-1)?.filledPageCount], [12, 100]);
});

test('a response that comes after the last page is noted, and nothing else is', () => {
  const { timeline, at } = makeWorld();
  at(12, { fileSent: 100 });
  timeline.mark('complete');
  at(20);
  for (const mark of ['failed', 'firstResponse', 'firstResponse'] as const) timeline.mark(mark);
  assert.equal(timeline.view().marks, [
    { atMs: 12, mark: 'complete' },
    { atMs: 20, mark: 'firstResponse' },
  ]);
  assert.is(timeline.view().samples.at(-1)?.atMs, 12);
});

test('a timeline stays bounded over an hour of pages, in order, from the first page to the last', () => {
  const { timeline, at } = makeWorld();
  for (let ms = 1; ms <= 3_600_000; ms += 100) {
    at(ms, { pushSent: ms });
    assert.ok(timeline.view().samples.length <= MAX_SAMPLES);
  }
  timeline.mark('complete');
  const { samples } = timeline.view();
  assert.is(samples.length, MAX_KEPT_SAMPLES);
  assert.equal([samples[0]?.atMs, samples.at(-1)?.pushedPageCount], [0, 3_599_901]);
  assert.ok(samples.every((sample, index) => index === 0 || sample.atMs > samples[index - 1]!.atMs));
});

test('a follower reads samples and marks as lines, those of before first, until the restore is over', async () => {
  const { timeline, at } = makeWorld();
  at(1, { pushSent: 10 });
  const lines: TimelineLine[] = [];
  for await (const text of followTimeline(timeline)) {
    for (const line of text.trim().split('\n')) lines.push(JSON.parse(line));
    at(timeline.view().samples.at(-1)!.atMs + 10, { pushSent: 10 + lines.length });
    if (lines.length > 4) timeline.mark('complete');
  }
  const samples = lines.flatMap((line) => ('sample' in line ? [line.sample] : []));
  assert.equal(samples, timeline.view().samples);
  assert.equal(
    lines.flatMap((line) => ('mark' in line ? [line.mark.mark] : [])),
    ['complete'],
  );
});

test.run();
