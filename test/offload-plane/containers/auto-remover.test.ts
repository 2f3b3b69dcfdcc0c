import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createAutoRemover } from '../../../offload-plane/containers/auto-remover.ts';
import type { Container } from '../../../offload-plane/containers/container.ts';
import { fakeGuest, guestsOf } from '../../helpers/fake-guest.ts';
import { containersOf, FIRST_ID, silentLogger } from '../../helpers/plane-parts.ts';
import { until } from '../../helpers/until.ts';

async function world() {
  const guest = Object.assign(fakeGuest(), { phase: 'ready' });
  const containers = containersOf(guest);
  const request = { name: 'job', guest: 'guest-a', image: 'redis', autoRemove: true };
  await containers.create(request);
  await containers.start('job');
  let looks = 0;
  const state = { isRead: false };
  const remover = createAutoRemover({
    containers,
    guests: guestsOf(guest),
    logger: silentLogger,
    isRead() {
      looks += 1;
      return state.isRead;
    },
  });
  const end = () => {
    containers.onAgentEvent(
      { sequence: 1, atMs: 0, container: FIRST_ID, event: 'exited', exitCode: 0 },
      'guest-a',
    );
    remover.onStopped(containers.get('job'));
  };
  const isGone = () => until('it is gone', () => containers.list().length === 0);
  return { guest, containers, remover, state, end, isGone, looks: () => looks };
}

test('one whose output is still read is not deleted before that is over', async () => {
  const { state, end, isGone, looks, guest, remover } = await world();
  state.isRead = true;
  end();
  await until('two looks at it', () => looks() >= 2);
  assert.not(guest.calls.includes(`deleteContainer ${FIRST_ID}`));
  state.isRead = false;
  await isGone();
  assert.ok(guest.calls.includes(`deleteContainer ${FIRST_ID}`));
  remover.close();
});

test('one that something is done to, such as a move to another guest, is left to whoever does it', async () => {
  const { containers, end, isGone, looks, remover } = await world();
  const done = Promise.withResolvers<void>();
  const moving = containers.during(
    containers.get('job') as Container,
    { verb: 'drain', checkpoint: 'c', target: 'guest-b', sinceMs: 0 },
    () => done.promise,
  );
  end();
  assert.is(containers.get('job').phase, 'stopped');
  assert.is(looks(), 0);
  done.resolve();
  await moving;
  await isGone();
  remover.close();
});

test('one that ended while nobody looked is deleted once its guest is adopted, and others are not', async () => {
  const { containers, guest, isGone, remover } = await world();
  await containers.create({ name: 'kept', guest: 'guest-a', image: 'redis' });
  for (const { id } of containers.list()) {
    containers.onAgentEvent({ sequence: 1, atMs: 0, container: id, event: 'exited', exitCode: 0 }, 'guest-a');
  }
  remover.onAdopted('guest-a');
  await until('one is gone', () => containers.list().length === 1);
  assert.is(containers.list()[0]?.name, 'kept');
  await containers.remove('kept', { force: false });
  await isGone();
  assert.ok(guest.calls.length > 0);
  remover.close();
});

test.run();
