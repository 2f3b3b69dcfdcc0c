import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type TwoGuests, takeTwoGuests } from '../helpers/two-guests.ts';
import { deadlineOf, startWarm } from '../helpers/warm-container.ts';

const test = suite<{ testbed: TwoGuests }>('a guest that is drained');

test.before(async (context) => {
  context.testbed = await takeTwoGuests();
});
test.after(async ({ testbed }) => await testbed?.stop());

test('its container goes on in another guest, on its port, with what it had in memory', async ({
  testbed,
}) => {
  const { plane } = testbed;
  const { workload, endpoint, facts } = await startWarm(testbed, {
    ...{ name: 'cache', guest: 'origin', size: { dataMiB: 4 } },
  });
  const { moved, stopped, left } = await plane.guests.drain('origin');
  assert.equal([stopped, left], [[], []]);
  assert.equal(
    moved.map(({ container, guest }) => [container, guest]),
    [['cache', 'target']],
  );
  await workload.verifyAll(endpoint, facts, { deadlineMs: deadlineOf(testbed) });
  const containers = await plane.containers.list();
  assert.equal(
    containers.map(({ name, guest, phase }) => [name, guest, phase]),
    [['cache', 'target', 'running']],
  );
});

test.run();
