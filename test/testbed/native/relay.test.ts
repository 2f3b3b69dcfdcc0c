import { createServer } from 'node:net';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { buildBenchPrograms } from '../../../testbed/native/programs.ts';
import { openRelay } from '../../../testbed/native/relay.ts';
import { test } from '../../helpers/suite.ts';
import { tempDirectory } from '../../helpers/temp-directory.ts';

test.before(buildBenchPrograms);

async function throughRelay(latencyUs: number): Promise<number> {
  const target = join(tempDirectory('relay'), 'plane.sock');
  const plane = createServer((socket) => socket.pipe(socket));
  await new Promise<void>((resolve) => plane.listen(target, resolve));
  const relay = await openRelay(target, { latencyUs, gbitPerS: 0 });
  try {
    return relay.addedLatencyUs;
  } finally {
    await relay.close();
    plane.close();
  }
}

/** What is taken off is the way without a relay, which is measured at another time, maybe a busier one. */
const LATENCY_US = 2_000;
const BUSY_US = 700;

test('the measured latency is at least what was set, and grows with it', async () => {
  const [short, long] = [await throughRelay(0), await throughRelay(LATENCY_US)];
  assert.ok(long >= LATENCY_US - BUSY_US, `${long} µs`);
  assert.ok(long > short, `${long} µs, ${short} µs without`);
});

test.run();
