import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { startTestbed, type Testbed } from '../../testbed/testbed.ts';
import { WORKLOADS } from '../../testbed/workloads/workloads.ts';

const test = suite<{ testbed: Testbed }>('a guest that is drained');
const GUEST = { memoryMiB: 768, vcpus: 2 };
const { redis } = WORKLOADS;

test.before(async (context) => {
  context.testbed = await startTestbed({
    guests: [
      { name: 'origin', ...GUEST },
      { name: 'target', ...GUEST },
    ],
    onProgress: () => {},
  });
  await context.testbed.importDemoImages(() => {});
});
test.after(async ({ testbed }) => await testbed?.stop());

test('its container goes on in another guest, on its port, with what it had in memory', async ({
  testbed,
}) => {
  const { plane, deadlineScale } = testbed;
  const deadlineMs = 30_000 * deadlineScale;
  const ports = [{ containerPort: redis.containerPort }];
  const made = await plane.containers.create({ name: 'cache', guest: 'origin', image: 'redis', ports });
  await plane.containers.start('cache');
  const endpoint = { host: '127.0.0.1', port: made.ports[0]!.hostPort };
  await redis.waitReady(endpoint, deadlineMs);
  const facts = await redis.warmUp(endpoint, { dataMiB: 4 }, { deadlineMs });

  const { moved, stopped, left } = await plane.guests.drain('origin');
  assert.equal([stopped, left], [[], []]);
  assert.equal(
    moved.map(({ container, guest }) => [container, guest]),
    [['cache', 'target']],
  );
  await redis.verifyAll(endpoint, facts, { deadlineMs });
  const containers = await plane.containers.list();
  assert.equal(
    containers.map(({ name, guest, phase }) => [name, guest, phase]),
    [['cache', 'target', 'running']],
  );
});

test.run();
