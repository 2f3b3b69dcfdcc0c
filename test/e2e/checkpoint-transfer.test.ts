/** A checkpoint leaves the plane as a tar, is gone there, comes back, and restores in pushed order as if nothing had been. */
import { createReadStream, createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import * as assert from 'uvu/assert';
import { checkpointctl } from '../helpers/checkpointctl.ts';
import { rejection } from '../helpers/rejection.ts';
import { suite } from '../helpers/suite.ts';
import { tempDirectory } from '../helpers/temp-directory.ts';
import { type TwoGuests, takeTwoGuests } from '../helpers/two-guests.ts';
import { completed, deadlineOf, endpointOf, startWarm } from '../helpers/warm-container.ts';

const test = suite<{ testbed: TwoGuests }>('checkpoints out of the plane and back');

test.before(async (context) => {
  context.testbed = await takeTwoGuests();
});
test.after(async ({ testbed }) => await testbed?.stop());

test('an exported checkpoint is read by checkpointctl, imported again and restored with its order log', async ({
  testbed,
}) => {
  const { plane } = testbed;
  const deadlineMs = deadlineOf(testbed);
  const { workload, facts } = await startWarm(testbed, {
    ...{ name: 'origin', guest: 'origin', size: { dataMiB: 8 } },
  });
  await plane.checkpoints.create({ container: 'origin', id: 'warm', after: 'stop' });
  await plane.containers.remove('origin', { force: true });
  const recording = await plane.restores.create({ checkpoint: 'warm', guest: 'origin', name: 'recorded' });
  await workload.waitReady(await endpointOf(testbed, 'recorded'), deadlineMs);
  await completed(testbed, recording.id);
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
  const restored = await plane.restores.create({ checkpoint: 'back', guest: 'origin', name: 'again' });
  assert.is(restored.effectivePolicy, 'ordered');
  const endpoint = await endpointOf(testbed, 'again');
  await workload.waitReady(endpoint, deadlineMs);
  assert.ok((await completed(testbed, restored.id)).pushedPageCount > 0);
  await workload.verifyAll(endpoint, facts, { deadlineMs });
});

test.run();
