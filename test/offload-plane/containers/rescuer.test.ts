import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createRescuer, type RescuerDeps } from '../../../offload-plane/containers/rescuer.ts';
import type { RestoreRequest } from '../../../offload-plane/restores/restores.ts';
import { OffloadError } from '../../../platform/errors.ts';
import { fakeGuest, guestsOf } from '../../helpers/fake-guest.ts';
import { containersOver, RECIPE, silentLogger } from '../../helpers/plane-parts.ts';
import { openState } from '../../helpers/state.ts';
import { until } from '../../helpers/until.ts';

const RETRY = { firstMs: 1, maxMs: 4, maxTries: 4 };

/** A container in a guest that is lost; restores fail as often as a test says. */
async function makeWorld({ failures = 0, checkpoint = 'warm' } = {}) {
  const state = openState();
  const [lost, small, large] = ['guest-a', 'guest-b', 'guest-c'].map((name) => fakeGuest(name));
  Object.assign(lost!, { phase: 'lost', lost: true });
  for (const [guest, memoryAvailableBytes] of [
    [small!, 2e9],
    [large!, 3e9],
  ] as const) {
    Object.assign(guest, { phase: 'ready', cordoned: false, health: { memoryAvailableBytes } });
  }
  const guests = [lost!, small!, large!];
  Object.assign(lost!, { cordoned: false, health: { memoryAvailableBytes: 9e9 } });
  const containers = containersOver(state, ...guests);
  const container = await containers.admit({
    ...{ name: 'web', guest: lost!, recipe: RECIPE, ports: [], phase: 'created' },
    policies: { onLost: 'restore' },
  });
  await containers.recorded(container, { verb: 'create' }, async () => {});
  if (checkpoint) container.recorder.change(container, { lastCheckpoint: checkpoint });
  container.recorder.change(container, { phase: 'lost' });
  const asked: RestoreRequest[] = [];
  const restores = {
    async create(request: RestoreRequest) {
      asked.push(request);
      if (asked.length <= failures) throw new OffloadError('no_space', `no room, try ${asked.length}`);
    },
  } as unknown as RescuerDeps['restores'];
  let isBeingAdopted = false;
  const rescuer = createRescuer({
    ...{ containers, guests: guestsOf(...guests), restores, logger: silentLogger, retry: RETRY },
    isBeingAdopted: () => isBeingAdopted,
  });
  const reasons = async () => {
    const events = await Array.fromAsync(state.journal.read(0, {}));
    return events.filter(({ event }) => event === 'not-restored').map(({ reason }) => reason);
  };
  const adopting = (is: boolean) => {
    isBeingAdopted = is;
  };
  return { containers, container, guests, rescuer, asked, reasons, adopting };
}

test('it goes to the guest with the most free memory, and the lost one is forgotten', async () => {
  const { containers, container, rescuer, asked, reasons } = await makeWorld();
  rescuer.onLost(container);
  await until('the end of the old one', () => containers.list().length === 0);
  assert.equal(
    asked.map(({ guest, name, checkpoint }) => ({ guest, name, checkpoint })),
    [{ guest: 'guest-c', name: 'web', checkpoint: 'warm' }],
  );
  assert.equal(await reasons(), []);
  rescuer.close();
});

test('what fails is tried again, later and later, and each time it is told why; then it is given up', async () => {
  const { containers, container, rescuer, asked, reasons } = await makeWorld({ failures: 5 });
  rescuer.onLost(container);
  await until('the last try', async () => (await reasons()).length === 4);
  assert.equal(await reasons(), [
    'no room, try 1; tried again in 1 ms',
    'no room, try 2; tried again in 2 ms',
    'no room, try 3; tried again in 4 ms',
    'no room, try 4; given up after 4 tries',
  ]);
  assert.is(containers.get('web').phase, 'lost');
  rescuer.onLost(container);
  assert.is(asked.length, 4);
  // Another guest is there: it begins anew.
  rescuer.onGuests();
  await until('its return', () => containers.list().length === 0);
  assert.is(asked.length, 6);
  rescuer.close();
});

test('a guest that may give its containers back is waited for', async () => {
  const { containers, container, guests, rescuer, asked, adopting } = await makeWorld();
  Object.assign(guests[0]!, { phase: 'unreachable' });
  rescuer.onGuests();
  Object.assign(guests[0]!, { phase: 'ready' });
  adopting(true);
  rescuer.onGuests();
  container.recorder.change(container, { phase: 'running' });
  adopting(false);
  rescuer.onGuests();
  assert.equal(asked, []);
  assert.is(containers.get('web').phase, 'running');
  rescuer.close();
});

test('without a checkpoint nothing is tried, and that is told once', async () => {
  const { container, rescuer, asked, reasons } = await makeWorld({ checkpoint: '' });
  rescuer.onLost(container);
  rescuer.onLost(container);
  assert.equal(asked, []);
  assert.equal(await reasons(), ['it has no checkpoint']);
  rescuer.close();
});

test.run();
