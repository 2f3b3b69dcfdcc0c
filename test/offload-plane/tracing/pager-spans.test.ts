import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { TimelineMark, TimelineView } from '../../../offload-plane/restores/timeline.ts';
import { pagerSpan } from '../../../offload-plane/tracing/pager-spans.ts';

const RESTORE = { effectivePolicy: 'ordered', faultCount: 3, pushedPageCount: 20, guest: 'guest-a' } as const;
const SAMPLE = {
  ...{ atMs: 90, filePageCount: 1, pushedPageCount: 20, demandedPageCount: 3, filledPageCount: 40 },
  faultCount: 3,
};
const timelineOf = (marks: Partial<Record<TimelineMark, number>>): TimelineView => ({
  samples: [SAMPLE],
  marks: Object.entries(marks).map(([mark, atMs]) => ({ mark: mark as TimelineMark, atMs })),
  ended: true,
});
const spanOf = (marks: Partial<Record<TimelineMark, number>>) => pagerSpan(1_000, timelineOf(marks), RESTORE);

test('a session is from the connection to its end, in parts, with what happened and how many pages', () => {
  const span = spanOf({ connected: 10, restored: 30, running: 31, firstResponse: 50, complete: 90 })!;
  assert.equal([span.service, span.startMs, span.endMs], ['offload-pager', 1_010, 1_090]);
  assert.equal(
    span.children!.map(({ name, startMs, endMs }) => [name, startMs, endMs]),
    [
      ['until the container runs', 1_010, 1_030],
      ['until the first response', 1_030, 1_050],
      ['until the last page', 1_050, 1_090],
    ],
  );
  assert.equal(
    span.events!.map(({ name }) => name),
    ['connected', 'restored', 'running', 'firstResponse', 'complete'],
  );
  assert.is(span.attributes!['offload.pages.pushed'], 20);
});

test('parts that did not happen are left out; a pager that never came has no span', () => {
  const failed = spanOf({ connected: 10, failed: 20 })!;
  assert.equal(
    failed.children!.map(({ name }) => name),
    ['until the last page'],
  );
  assert.is(spanOf({ failed: 20 }), undefined);
  assert.is(pagerSpan(0, { ...timelineOf({ connected: 1 }), ended: false }, RESTORE), undefined);
});

test.run();
