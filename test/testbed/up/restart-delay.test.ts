import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { nextRestart } from '../../../testbed/up/restart-delay.ts';

test('a plane that ends soon again and again is left alone for longer, up to half a minute', () => {
  let restarts = { soonCount: 0 };
  const delays: number[] = [];
  for (let round = 0; round < 10; round += 1) {
    const next = nextRestart(restarts, 1_000);
    delays.push(next.delayMs);
    restarts = next;
  }
  assert.equal(delays, [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
});

test('one that lived for a minute is started again at once', () => {
  assert.is(nextRestart({ soonCount: 9 }, 60_000).delayMs, 250);
  assert.is(nextRestart({ soonCount: 9 }, 60_000).soonCount, 0);
});

test.run();
