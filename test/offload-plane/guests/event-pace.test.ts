import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createEventPace, EVENT_BURST, EVENTS_PER_S } from '../../../offload-plane/guests/event-pace.ts';

test('a burst is taken at once, and what follows at the rate', () => {
  const pace = createEventPace(() => 0);
  const waits = Array.from({ length: EVENT_BURST + 2 }, pace);
  assert.equal(waits.slice(0, EVENT_BURST), Array(EVENT_BURST).fill(0));
  assert.equal(waits.slice(EVENT_BURST), [1_000 / EVENTS_PER_S, 2_000 / EVENTS_PER_S]);
});

test('a guest that was quiet has its burst again, and no more than that', () => {
  let nowMs = 0;
  const pace = createEventPace(() => nowMs);
  const burst = () => Array.from({ length: EVENT_BURST }, pace);
  assert.ok(burst().every((waitMs) => waitMs === 0));
  nowMs = 3_600_000;
  assert.ok(burst().every((waitMs) => waitMs === 0));
  assert.ok(pace() > 0);
});

test.run();
