import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { GuestLoad } from '../../../interconnect/agent-api.ts';
import {
  createLoadHistory,
  MAX_SAMPLES,
  MIN_INTERVAL_MS,
} from '../../../offload-plane/guests/load-history.ts';

const FIGURES: GuestLoad = { cpuCount: 2, cpuBusyMs: 0, memoryTotalBytes: 100, memoryAvailableBytes: 60 };

function makeWorld() {
  const world = { nowMs: 1_000_000, busyMs: 0, askCount: 0 };
  const history = createLoadHistory({
    wallMs: () => world.nowMs,
    ask: async () => {
      world.askCount += 1;
      return { ...FIGURES, cpuBusyMs: world.busyMs };
    },
  });
  return { world, history };
}

test('however many ask, the agent is asked once an interval', async () => {
  const { world, history } = makeWorld();
  await Promise.all([history.read(), history.read(), history.read()]);
  world.nowMs += MIN_INTERVAL_MS - 1;
  await history.read();
  assert.is(world.askCount, 1);
  world.nowMs += 1;
  assert.is((await history.read()).length, 2);
  assert.is(world.askCount, 2);
});

test('the share of the processors is what they were busy since the sample before, between 0 and 1', async () => {
  const { world, history } = makeWorld();
  await history.read();
  for (const busyMs of [1_000, 100_000, 0]) {
    world.nowMs += 1_000;
    world.busyMs = busyMs;
    await history.read();
  }
  assert.equal(
    (await history.read()).map(({ cpuShare }) => cpuShare),
    [0, 0.5, 1, 0],
  );
});

test('only so many samples are kept, the latest', async () => {
  const { world, history } = makeWorld();
  for (let i = 0; i < MAX_SAMPLES + 5; i += 1) {
    world.nowMs += MIN_INTERVAL_MS;
    await history.read();
  }
  const samples = await history.read();
  assert.is(samples.length, MAX_SAMPLES);
  assert.is(samples.at(-1)?.atMs, world.nowMs);
});

test.run();
