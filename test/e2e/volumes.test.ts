import * as assert from 'uvu/assert';
import { rejection } from '../helpers/rejection.ts';
import { suite } from '../helpers/suite.ts';
import { type TwoGuests, takeTwoGuests } from '../helpers/two-guests.ts';
import { ask, startOnVolume } from '../helpers/volume-redis.ts';

const test = suite<{ testbed: TwoGuests }>('volumes in guests');
const MIB = 1024 * 1024;

test.before(async (context) => {
  context.testbed = await takeTwoGuests();
  await context.testbed.plane.volumes.create({ name: 'data', sizeBytes: 64 * MIB });
});
test.after(async ({ testbed }) => await testbed?.stop());

test('data in a volume outlives its container, and is there in another guest', async ({ testbed }) => {
  const { plane } = testbed;
  await startOnVolume(testbed, 'first', 'origin');
  await ask(testbed, 'first', 'SET', 'city', 'Riga');
  const { guest, usedBy } = await plane.volumes.inspect('data');
  assert.is(guest, 'origin');
  assert.equal(usedBy, ['first']);
  await plane.containers.remove('first', { force: true });
  assert.is((await plane.volumes.inspect('data')).guest, undefined);

  await startOnVolume(testbed, 'second', 'target');
  assert.is(await ask(testbed, 'second', 'GET', 'city'), 'Riga');
});

test('a volume is with one guest at a time, and is not removed under a container', async ({ testbed }) => {
  const { plane } = testbed;
  const refused = await rejection(startOnVolume(testbed, 'third', 'origin'));
  assert.is(refused.code, 'invalid_state');
  assert.is(refused.message, 'attach volume data to guest origin: container second of guest target has it');
  assert.not((await plane.containers.list()).some(({ name }) => name === 'third'));
  const removal = await rejection(plane.volumes.remove('data'));
  assert.is(removal.message, 'remove volume data: used by second');
});

test('a volume goes along with a container that has ended, and is restored in another guest', async ({
  testbed,
}) => {
  const { plane } = testbed;
  await ask(testbed, 'second', 'SET', 'river', 'Daugava');
  await plane.checkpoints.create({ container: 'second', id: 'with-volume', after: 'stop' });
  await plane.restores.create({ checkpoint: 'with-volume', guest: 'origin', name: 'moved' });
  assert.is(await ask(testbed, 'moved', 'GET', 'river'), 'Daugava');
  await ask(testbed, 'moved', 'SET', 'sea', 'Baltic');
  assert.is((await plane.volumes.inspect('data')).guest, 'origin');
  await plane.containers.remove('second');
  await plane.containers.remove('moved', { force: true });
  await plane.volumes.remove('data');
  assert.equal(await plane.volumes.list(), []);
});

test.run();
