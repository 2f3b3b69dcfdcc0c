import { once } from 'node:events';
import { connect } from 'node:net';
import { duplexPair } from 'node:stream';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { capabilitiesOf } from '../../../offload-plane/containers/capabilities.ts';
import type { Containers } from '../../../offload-plane/containers/containers.ts';
import { openAnswers } from '../../../offload-plane/operations/answers.ts';
import { OffloadError } from '../../../platform/errors.ts';
import { type FakeGuest, fakeGuest } from '../../helpers/fake-guest.ts';
import { containersOf, containersOver, FIRST_ID, RECIPE } from '../../helpers/plane-parts.ts';
import { rejection } from '../../helpers/rejection.ts';
import { openState } from '../../helpers/state.ts';

const REQUEST = { name: 'web', guest: 'guest-a', image: 'redis' };
const exitOf = (container: string, exitCode: number) =>
  ({ sequence: 1, atMs: 0, container, event: 'exited', exitCode }) as const;

test("a container is created with the image's command, an address of its own and its ports open", async () => {
  const guest = fakeGuest();
  let spec: Record<string, unknown> = {};
  guest.on('createContainer', (body) => {
    spec = body;
  });
  const containers = containersOf(guest);
  const view = await containers.create({
    ...REQUEST,
    env: ['A=2', 'B=3'],
    memoryLimitMiB: 8,
    ports: [{ containerPort: 6379 }],
  });
  assert.equal(spec, {
    id: FIRST_ID,
    rootfsLun: 1,
    hostname: 'web',
    command: ['redis-server'],
    env: ['PATH=/bin', 'A=2', 'B=3'],
    workingDir: '/',
    user: '0:0',
    address: '10.88.0.2/16',
    capabilities: capabilitiesOf(),
    seccomp: 'default',
    memoryLimitBytes: 8 * 1024 * 1024,
  });
  assert.is(view.phase, 'created');
  assert.is(view.address, '10.88.0.2');
  assert.is(view.ports[0]?.containerPort, 6379);
  assert.ok(view.ports[0]!.hostPort > 0);
  containers.close();
});

test('a name with an underscore makes a host name that is one', async () => {
  const guest = fakeGuest();
  const containers = containersOf(guest);
  await containers.create({ ...REQUEST, name: 'my_app' });
  assert.is(containers.get('my_app').recipe.spec.hostname, 'my-app');
  containers.close();
});

test('an unknown guest, image or container is not found, and nothing is left', async () => {
  const containers = containersOf(fakeGuest());
  for (const request of [
    { ...REQUEST, guest: 'none' },
    { ...REQUEST, image: 'none' },
  ]) {
    const error = await rejection(containers.create(request));
    assert.is(error.code, 'not_found');
    assert.match(error.message, / none: there is none of this name$/);
  }
  assert.is((await rejection(containers.start('none'))).code, 'not_found');
  assert.equal(containers.list(), []);
});

test('a taken name is refused until its container is removed', async () => {
  const guest = fakeGuest();
  const containers = containersOf(guest);
  await containers.create(REQUEST);
  assert.is((await rejection(containers.create(REQUEST))).code, 'already_exists');
  assert.equal(guest.calls, [`createContainer ${FIRST_ID}`]);
  await containers.remove('web', { force: true });
  await containers.create(REQUEST);
  containers.close();
});

test('a container is found by its name, its id and the beginning of its id, and by no other', async () => {
  const containers = containersOf(fakeGuest());
  await containers.create(REQUEST);
  const web = containers.get('web');
  assert.is(web.id, FIRST_ID);
  for (const reference of [FIRST_ID, FIRST_ID.slice(0, 4)]) assert.is(containers.get(reference), web);
  for (const reference of [FIRST_ID.slice(0, 3), 'c0ffeee', 'we', 'WEB']) {
    assert.is((await rejection((async () => containers.get(reference))())).code, 'not_found');
  }
  await containers.create({ ...REQUEST, name: 'other' });
  const error = await rejection((async () => containers.get('c0ffee'))());
  assert.is(error.code, 'invalid_request');
  assert.is(error.message, 'container c0ffee: the ids of 2 containers begin so');
  containers.close();
});

test('a renamed container keeps its id, and its old name is free', async () => {
  const guest = fakeGuest();
  const containers = containersOf(guest);
  await containers.create(REQUEST);
  await containers.create({ ...REQUEST, name: 'other' });
  const taken = await rejection((async () => containers.rename('web', 'other'))());
  assert.is(taken.message, 'rename container web to other: the name is taken');
  assert.is(containers.rename('web', 'site').id, FIRST_ID);
  assert.is((await containers.start('site')).name, 'site');
  assert.is(guest.calls.at(-1), `startContainer ${FIRST_ID}`);
  await containers.create(REQUEST);
  containers.close();
});

test('a rename that was cut off before its answer is not refused when it is repeated', async () => {
  const state = openState();
  const answers = openAnswers(state.database, () => 0);
  const containers = containersOver({ ...state, answers }, fakeGuest());
  await containers.create(REQUEST);
  answers.begin('key-1', 'print');
  answers.within('key-1', () => containers.rename('web', 'site'));
  const result = { path: `/v1/containers/${FIRST_ID}`, status: 200 };
  assert.equal(answers.look('key-1', 'print'), { phase: 'cut_off', result });
  assert.is(containers.get('site').id, FIRST_ID);
  containers.close();
});

test('a create that the agent refuses is forgotten, its ports closed', async () => {
  const guest = fakeGuest();
  guest.on('createContainer', () => {
    throw new OffloadError('runtime_failed', 'crun create web: no');
  });
  const containers = containersOf(guest);
  const error = await rejection(containers.create({ ...REQUEST, ports: [{ containerPort: 80 }] }));
  assert.is(error.message, 'crun create web: no');
  assert.equal(containers.list(), []);
});

test('of two ports that cannot both be published neither stays', async () => {
  const containers = containersOf(fakeGuest());
  const view = await containers.create({ ...REQUEST, ports: [{ containerPort: 80 }] });
  const { hostPort } = view.ports[0]!;
  const error = await rejection(
    containers.create({
      ...REQUEST,
      name: 'other',
      ports: [{ containerPort: 1 }, { containerPort: 2, hostPort }],
    }),
  );
  assert.is(error.message, `publish port 127.0.0.1:${hostPort}: the address is in use`);
  assert.equal(
    containers.list().map(({ name }) => name),
    ['web'],
  );
  containers.close();
});

test('a transition that the phase does not allow names it and calls nobody', async () => {
  const guest = fakeGuest();
  const containers = containersOf(guest);
  await containers.create(REQUEST);
  await containers.start('web');
  const error = await rejection(containers.start('web'));
  assert.is(error.code, 'invalid_state');
  assert.is(error.message, 'start container web: it is running, not created or stopped');
  containers.onAgentEvent(exitOf(FIRST_ID, 1), 'guest-a');
  assert.is(
    (await rejection(containers.kill('web', 'SIGTERM'))).message,
    'kill container web: it is stopped, not created or running or paused',
  );
  assert.equal(guest.calls, [`createContainer ${FIRST_ID}`, `startContainer ${FIRST_ID}`]);
});

test('an exit is taken from the guest that has the container, and from no other', async () => {
  const containers = containersOf(fakeGuest());
  await containers.create(REQUEST);
  await containers.start('web');
  containers.onAgentEvent(exitOf(FIRST_ID, 1), 'guest-b');
  assert.is(containers.get('web').phase, 'running');
  containers.onAgentEvent(exitOf(FIRST_ID, 5), 'guest-a');
  assert.is(containers.list()[0]?.phase, 'stopped');
  assert.is(containers.list()[0]?.exitCode, 5);
});

test('a container whose exit is told before its start is answered has stopped', async () => {
  const guest = fakeGuest();
  const containers = containersOf(guest);
  guest.on('startContainer', () => containers.onAgentEvent(exitOf(FIRST_ID, 0), 'guest-a'));
  await containers.create(REQUEST);
  assert.is((await containers.start('web')).phase, 'stopped');
});

test('containers of a lost guest are lost, can be removed without it, and no others are touched', async () => {
  const [a, b] = [fakeGuest('guest-a'), fakeGuest('guest-b')];
  const containers = containersOf(a, b);
  await containers.create(REQUEST);
  await containers.create({ ...REQUEST, name: 'other', guest: 'guest-b' });
  a.lost = true;
  containers.onGuestLost('guest-a');
  assert.is(containers.get('web').phase, 'lost');
  assert.is(containers.get('other').phase, 'created');
  await containers.remove('web', { force: true });
  assert.not(a.calls.includes(`deleteContainer ${FIRST_ID}`));
  const error = await rejection(containers.create(REQUEST));
  assert.is(error.code, 'guest_lost');
  assert.is(error.message, 'create container web: guest guest-a is gone');
});

test('a restored container may share its address with one of another guest only', async () => {
  const [a, b] = [fakeGuest('guest-a'), fakeGuest('guest-b')];
  const containers = containersOf(a, b);
  await containers.create(REQUEST);
  const error = await rejection(
    containers.admit({ name: 'again', guest: a, recipe: RECIPE, ports: [], phase: 'restoring' }),
  );
  assert.is(error.code, 'invalid_state');
  assert.is(
    error.message,
    'create container again: container web of guest guest-a has its address 10.88.0.2/16',
  );
  const restored = await containers.admit({
    name: 'again',
    guest: b,
    recipe: RECIPE,
    ports: [],
    phase: 'restoring',
  });
  assert.is(restored.phase, 'restoring');
  await containers.remove('web', { force: true });
  const next = await containers.create({ ...REQUEST, name: 'next' });
  assert.is.not(next.address, '10.88.0.2', 'still the restored one’s');
});

/** One whose restore has begun, with a published port. */
const admitRestoring = (containers: Containers, guest: FakeGuest) =>
  containers.admit({
    ...{ name: 'web', guest, recipe: RECIPE, phase: 'restoring' },
    ports: [{ containerPort: 80 }],
  });

test('a client of a published port is held while the container is restored, and told of its first byte', async () => {
  const guest = fakeGuest();
  const containers = containersOf(guest);
  const [near, far] = duplexPair();
  let asked = '';
  guest.onStream((call) => {
    asked = `${call.method} ${call.path}`;
    return near;
  });
  const container = await admitRestoring(containers, guest);
  let first = 0;
  container.onFirstResponse = () => {
    first += 1;
  };
  const client = connect({ port: container.forwards[0]!.hostPort, host: '127.0.0.1' });
  await once(client, 'connect');
  assert.is(asked, '');
  container.phase = 'running';
  for (const listener of [...container.onPhase]) listener('running');
  far.write('ready');
  await once(client, 'data');
  assert.is(asked, `POST /v1/containers/${FIRST_ID}/ports/80`);
  assert.is(first, 1);
  client.destroy();
  containers.close();
});

test('a client that is held for a container that ends is let go', async () => {
  const guest = fakeGuest();
  const containers = containersOf(guest);
  const container = await admitRestoring(containers, guest);
  const client = connect({ port: container.forwards[0]!.hostPort, host: '127.0.0.1' });
  client.on('error', () => {});
  await once(client, 'connect');
  containers.onGuestLost('guest-a');
  await new Promise((resolve) => client.once('close', resolve));
  assert.is(container.onPhase.size, 0);
  containers.close();
});

test.run();
