/** A checkpoint leaves the plane as a tar, is gone there, comes back, and restores in pushed order as if nothing had been. */
import { createReadStream, createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { pollUntil } from '../../platform/deadline.ts';
import { startTestbed, type Testbed } from '../../testbed/testbed.ts';
import { WORKLOADS } from '../../testbed/workloads/workloads.ts';
import { checkpointctl } from '../helpers/checkpointctl.ts';
import { rejection } from '../helpers/rejection.ts';
import { tempDirectory } from '../helpers/temp-directory.ts';

const test = suite<{ testbed: Testbed }>('checkpoints out of the plane and back');
const { redis } = WORKLOADS;
const GUEST = { memoryMiB: 1_024, vcpus: 2 };

test.before(async (context) => {
  context.testbed = await startTestbed({ guests: [{ name: 'only', ...GUEST }], onProgress: () => {} });
  await context.testbed.importDemoImages(() => {});
});
test.after(async ({ testbed }) => await testbed?.stop());

test('an exported checkpoint is read by checkpointctl, imported again and restored with its order log', async ({
  testbed,
}) => {
  const { plane, deadlineScale } = testbed;
  const deadlineMs = 30_000 * deadlineScale;
  const port = async (name: string) => (await plane.containers.inspect(name)).ports[0]!.hostPort;
  const endpoint = async (name: string) => ({ host: '127.0.0.1', port: await port(name) });
  const complete = (id: string) =>
    pollUntil(
      async () => {
        const view = await plane.restores.inspect(id);
        return view.phase === 'complete' || view.phase === 'failed' ? view : undefined;
      },
      { timeoutMs: deadlineMs, intervalMs: 50, what: `restore ${id}` },
    );

  const ports = [{ containerPort: redis.containerPort }];
  await plane.containers.create({ name: 'origin', guest: 'only', image: 'redis', ports });
  await plane.containers.start('origin');
  await redis.waitReady(await endpoint('origin'), deadlineMs);
  const facts = await redis.warmUp(await endpoint('origin'), { dataMiB: 8 }, { deadlineMs });
  await plane.checkpoints.create({ container: 'origin', id: 'warm', after: 'stop' });
  await plane.containers.remove('origin', { force: true });
  const recording = await plane.restores.create({ checkpoint: 'warm', guest: 'only', name: 'recorded' });
  await redis.waitReady(await endpoint('recorded'), deadlineMs);
  assert.is((await complete(recording.id)).phase, 'complete');
  await plane.containers.remove('recorded', { force: true });
  const before = await plane.checkpoints.contents('warm');
  assert.ok(before.workingSet!.pageCount > 0);

  const path = join(tempDirectory('transfer'), 'warm.tar');
  await pipeline(await plane.checkpoints.export('warm'), createWriteStream(path));
  assert.match(await checkpointctl('show', path), /origin\W+redis/);
  assert.match(await checkpointctl('inspect', '--sockets', path), /0\.0\.0\.0:6379/);
  await plane.checkpoints.remove('warm');
  assert.is((await rejection(plane.checkpoints.inspect('warm'))).code, 'not_found');

  const imported = await plane.checkpoints.import(createReadStream(path), { id: 'back' });
  assert.is(imported.hasOrderLog, true);
  assert.equal(await plane.checkpoints.contents('back'), { ...before, id: 'back' });
  const restored = await plane.restores.create({ checkpoint: 'back', guest: 'only', name: 'again' });
  assert.is(restored.effectivePolicy, 'ordered');
  await redis.waitReady(await endpoint('again'), deadlineMs);
  const view = await complete(restored.id);
  assert.is(view.phase, 'complete', view.error?.message);
  assert.is(view.pagesVerified, true);
  assert.ok(view.pushedPageCount > 0);
  await redis.verifyAll(await endpoint('again'), facts, { deadlineMs });
});

test.run();
