import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type PlanePhase, setPhase } from '../../../offload-plane/containers/container.ts';
import { createStdio } from '../../../offload-plane/containers/stdio.ts';
import { fakeGuest, guestsOf } from '../../helpers/fake-guest.ts';
import { checkpointsOver, containersOver, FIRST_ID } from '../../helpers/plane-parts.ts';
import { rejection } from '../../helpers/rejection.ts';
import { openState } from '../../helpers/state.ts';
import { makeStore } from '../page-store/fixture.ts';

const PHASES: PlanePhase[] = [
  'created',
  'running',
  'paused',
  'checkpointing',
  'restoring',
  'stopped',
  'lost',
];

/** The table of docs/api.md: verbs, and the phases in which they are allowed. */
function documented(): Map<string, string[]> {
  const text = readFileSync(join(import.meta.dirname, '../../../docs/api.md'), 'utf8');
  const [, table = ''] = /What can be done in which phase[^|]*((?:\|.*\n)+)/.exec(text) ?? [];
  const rows = [...table.matchAll(/^\| ([a-z ]+) \| (`.*`) \|$/gm)];
  return new Map(
    rows.map(([, verb = '', phases = '']) => [
      verb,
      [...phases.matchAll(/`(\w+)`/g)].map(([, phase = '']) => phase),
    ]),
  );
}

/** A container `web` in a phase, and what can be asked for. */
async function makeWorld(phase: PlanePhase) {
  const { store, remove } = await makeStore();
  const state = openState();
  const guest = fakeGuest();
  const guests = guestsOf(guest);
  const containers = containersOver(state, guest);
  const checkpoints = checkpointsOver(state, store, containers, guest);
  const end = () =>
    containers.onAgentEvent(
      { sequence: 1, atMs: 0, container: FIRST_ID, event: 'exited', exitCode: 0 },
      'guest-a',
    );
  guest.on('killContainer', end);
  await containers.create({ name: 'web', guest: 'guest-a', image: 'redis' });
  setPhase(containers.get('web'), phase);
  const verbs: Record<string, () => Promise<unknown>> = {
    start: () => containers.start('web'),
    stop: () => containers.stop('web', {}),
    restart: () => containers.restart('web', {}),
    kill: () => containers.kill('web', 'SIGHUP'),
    pause: () => containers.pause('web'),
    resume: () => containers.resume('web'),
    checkpoint: () => checkpoints.create({ container: 'web', id: 'warm', after: 'stop' }),
    exec: () =>
      createStdio({ containers, guests }).createExec('web', {
        ...{ command: ['true'], terminal: false, openStdin: false, env: [] },
      }),
    top: async () => containers.processes('web'),
    delete: () => containers.remove('web', { force: false }),
    'delete with force': () => containers.remove('web', { force: true }),
  };
  const close = async () => {
    containers.close();
    await remove();
  };
  return { containers, guest, verbs, close };
}

const test = suite('what can be done to a container in which phase');

for (const phase of PHASES) {
  test(`in phase ${phase} what is not allowed names the phase and changes nothing`, async () => {
    const { containers, guest, verbs, close } = await makeWorld(phase);
    const table = documented();
    assert.equal([...table.keys()].sort(), Object.keys(verbs).sort());
    const before = containers.list();
    const calls = [...guest.calls];
    for (const [verb, allowed] of table) {
      if (allowed.includes(phase)) continue;
      const error = await rejection(Promise.resolve().then(verbs[verb]));
      assert.is(error.code, 'invalid_state', `${verb}: ${error.message}`);
      assert.match(error.message, new RegExp(`container web: it is ${phase}, not `), verb);
      assert.equal(containers.list(), before, verb);
      assert.equal(guest.calls, calls, verb);
    }
    await close();
  });
}

test('what the table allows is done', async () => {
  for (const [verb, allowed] of documented()) {
    // What a checkpoint does is a matter of its own; see checkpoints.test.ts.
    if (verb === 'checkpoint') continue;
    for (const phase of allowed) {
      const { verbs, guest, close } = await makeWorld(phase as PlanePhase);
      const count = guest.calls.length;
      await verbs[verb]?.();
      assert.ok(guest.calls.length > count, `${verb} in phase ${phase} asks the guest`);
      await close();
    }
  }
});

test.run();
