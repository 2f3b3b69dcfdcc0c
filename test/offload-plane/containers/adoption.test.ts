/** What a plane was doing when it was killed, and the next one; see also kill-and-adopt.test.ts. */
import { randomBytes } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openAnswers } from '../../../offload-plane/operations/answers.ts';
import { createOperations } from '../../../offload-plane/operations/operations.ts';
import { fakeGuest } from '../../helpers/fake-guest.ts';
import { containersOver } from '../../helpers/plane-parts.ts';
import { openState } from '../../helpers/state.ts';
import { until } from '../../helpers/until.ts';

/** A plane is killed while a container is checkpointed, as an operation of this kind. */
async function cutOff({ kind = 'checkpoint', committed = false } = {}) {
  const state = openState();
  const guest = fakeGuest();
  const startPlane = () => {
    const { database } = state;
    const operations = createOperations({ database, nowMs: () => Date.now(), randomBytes });
    const answers = openAnswers(database, () => Date.now());
    const isCommitted = async () => committed;
    const containers = containersOver({ ...state, answers, operations, isCommitted }, guest);
    return { answers, operations, containers };
  };
  const first = startPlane();
  await first.containers.create({ name: 'web', guest: 'guest-a', image: 'redis' });
  await first.containers.start('web');
  const container = first.containers.get('web');
  const verb = { verb: 'checkpoint', checkpoint: 'warm', after: 'resume', sinceMs: 1 } as const;
  first.answers.begin('key-1', 'print');
  const { operation } = first.answers.within('key-1', () =>
    first.operations.start({ kind, subject: 'web' }, () => {
      const take = () => first.containers.during(container, verb, () => new Promise<never>(() => {}));
      return kind === 'checkpoint' ? take() : first.answers.asPart(take);
    }),
  );
  first.containers.close();
  await first.operations.close();
  guest.on('listContainers', () => [{ id: container.id, phase: 'running', address: '10.88.0.2/16' }]);
  const next = startPlane();
  next.operations.interruptRest();
  assert.is(next.containers.isUnfinished('key-1'), true);
  const told = async () => (await Array.fromAsync(state.journal.read(0, {}))).map(({ event }) => event);
  const known = () => next.answers.look('key-1', 'print');
  return { ...next, guest, told, known, operation: () => next.operations.get(operation.id) };
}

test('a checkpoint that was whole when its plane was killed ends its operation as it would have ended', async () => {
  const { containers, guest, operation, known, told } = await cutOff({ committed: true });
  assert.is(operation().phase, 'running');
  await containers.adopt(guest);
  assert.is(operation().phase, 'succeeded');
  assert.equal(operation().result, { id: 'warm' });
  // Who repeats the request with its key is given it.
  assert.equal(known(), { phase: 'cut_off', result: { path: '/v1/checkpoints/warm', status: 201 } });
  assert.is((await told()).at(-1), 'checkpointed');
});

test('one that was not whole ends its operation as interrupted, and the container runs on', async () => {
  const { containers, guest, operation, known, told } = await cutOff();
  await containers.adopt(guest);
  assert.equal(known(), { phase: 'cut_off' });
  assert.not((await told()).includes('checkpointed'));
  assert.is(operation().error?.code, 'interrupted');
  assert.match(operation().error!.message, /before all of it was in the store/);
  assert.ok(guest.calls.includes(`finishCheckpoint ${containers.get('web').id}`));
});

test('when the guest of a checkpoint that was cut off is lost, its operation ends all the same', async () => {
  const { containers, operation } = await cutOff({ committed: true });
  containers.onGuestLost('guest-a');
  await until('its end', () => operation().phase === 'succeeded');
});

test('an operation of which the checkpoint was only a part is interrupted, and its request is not answered with it', async () => {
  const { containers, guest, operation, known } = await cutOff({ kind: 'drain', committed: true });
  assert.is(operation().error?.code, 'interrupted');
  await containers.adopt(guest);
  assert.equal(known(), { phase: 'cut_off' });
  assert.is(operation().phase, 'failed');
});

test.run();
