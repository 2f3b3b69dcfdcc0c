import * as assert from 'uvu/assert';
import { screenOf } from '../helpers/screen.ts';
import { suite } from '../helpers/suite.ts';
import { type TwoGuests, takeTwoGuests } from '../helpers/two-guests.ts';
import { deadlineOf, startWarm } from '../helpers/warm-container.ts';

const test = suite<{ testbed: TwoGuests }>('a guest that is drained');

test.before(async (context) => {
  context.testbed = await takeTwoGuests();
});
test.after(async ({ testbed }) => await testbed?.stop());

const SHELL = { guest: 'origin', image: 'redis', entrypoint: ['/bin/sh'], terminal: true, openStdin: true };

test('its containers go on in another guest: on their ports, with what they had in memory, at their terminals', async ({
  testbed,
}) => {
  const { plane } = testbed;
  const attach = async () => screenOf(await plane.stdio.attach('shell'), deadlineOf(testbed));
  await plane.containers.create({ ...SHELL, name: 'shell' });
  await plane.containers.start('shell');
  const before = await attach();
  await before.type('kept=warm; echo before-$((40+2))\r');
  await before.see(/before-42/);
  before.close();
  const { workload, endpoint, facts } = await startWarm(testbed, {
    ...{ name: 'cache', guest: 'origin', size: { dataMiB: 4 } },
  });
  const { moved, stopped, left } = await plane.guests.drain('origin');
  assert.equal([stopped, left], [[], []]);
  assert.equal(moved.map(({ container, guest }) => [container, guest]).sort(), [
    ['cache', 'target'],
    ['shell', 'target'],
  ]);
  await workload.verifyAll(endpoint, facts, { deadlineMs: deadlineOf(testbed) });
  const containers = await plane.containers.list();
  assert.equal(containers.map(({ name, guest, phase }) => [name, guest, phase]).sort(), [
    ['cache', 'target', 'running'],
    ['shell', 'target', 'running'],
  ]);

  // The same shell; its size changes, and Ctrl-C reaches what it runs.
  const after = await attach();
  await after.type('echo $kept-$((40+3))\r');
  await after.see(/warm-43/);
  await plane.stdio.resize('shell', { columns: 91, rows: 17 });
  await after.type('busybox stty size\r');
  await after.see(/17 91/);
  await after.type("echo now a''sleep; busybox sleep 1000\r");
  await after.see(/now asleep/);
  await after.type('\x03');
  await after.type('echo ended-$?\r');
  await after.see(/ended-130/);
  after.close();
});

test.run();
