/** A plane that ends while it moves a container out of a guest, and the next one. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Container } from '../../../offload-plane/containers/container.ts';
import type { Containers } from '../../../offload-plane/containers/containers.ts';
import {
  type CutOffDrainsDeps,
  createCutOffDrains,
} from '../../../offload-plane/containers/cut-off-drains.ts';
import type { RestoreRequest } from '../../../offload-plane/restores/restores.ts';
import { OffloadError } from '../../../platform/errors.ts';
import { type FakeGuest, fakeGuest, guestsOf } from '../../helpers/fake-guest.ts';
import { containersOver, RECIPE, silentLogger } from '../../helpers/plane-parts.ts';
import { openState } from '../../helpers/state.ts';
import { until } from '../../helpers/until.ts';

const RETRY = { firstMs: 1, maxMs: 4, maxTries: 3 };
const never = () => new Promise<never>(() => {});

interface Case {
  /** When the plane ended: how far the container had come. */
  phase: 'running' | 'checkpointing' | 'stopped';
  committed?: boolean;
  /** Guests in which a restore fails. */
  failing?: string[];
  /** Those that are not ready. */
  away?: string[];
  during?: (containers: Containers, old: Container, target: FakeGuest) => Promise<void>;
}

async function cutOff({ phase, committed = true, failing = [], away = [], during }: Case) {
  const state = openState();
  const guests = ['guest-a', 'guest-b', 'guest-c'].map((name, index) =>
    Object.assign(fakeGuest(name), {
      phase: away.includes(name) ? 'unreachable' : 'ready',
      cordoned: name === 'guest-a',
      health: { memoryAvailableBytes: 1e9 * (index + 1) },
    }),
  );
  const [origin, target] = guests as [FakeGuest, FakeGuest];
  const first = containersOver(state, ...guests);
  const old = await first.admit({ name: 'web', guest: origin, recipe: RECIPE, ports: [], phase: 'created' });
  await first.recorded(old, { verb: 'create' }, async () => {});
  const intent = { verb: 'drain', checkpoint: 'drain-1', target: 'guest-b', sinceMs: 1 } as const;
  void first.during(old, intent, never);
  old.recorder.change(old, { phase });
  await during?.(first, old, target);
  first.close();

  const containers: Containers = containersOver(state, ...guests);
  const asked: string[] = [];
  const restores = {
    async create({ guest: name, name: wanted, checkpoint }: RestoreRequest) {
      asked.push(`${checkpoint} in ${name}`);
      if (failing.includes(name)) throw new OffloadError('no_space', `no room in ${name}`);
      const guest = guests.find(({ registration }) => registration.name === name) as FakeGuest;
      const recipe = { ...RECIPE, spec: { ...RECIPE.spec, address: '10.88.0.9/16' } };
      const made = await containers.admit({ name: wanted, guest, recipe, ports: [], phase: 'created' });
      await containers.recorded(made, { verb: 'create' }, async () => {});
    },
  } as unknown as CutOffDrainsDeps['restores'];
  const adopted = new Set<string>();
  const drains = createCutOffDrains({
    ...{ containers, guests: guestsOf(...guests), restores, logger: silentLogger, retry: RETRY },
    isCommitted: async (id, sinceMs) => committed && id === 'drain-1' && sinceMs === 1,
    isAdopted: (guest) => adopted.has(guest),
  });
  const told = async () => {
    const events = await Array.fromAsync(state.journal.read(0, {}));
    return events
      .filter(({ event }) => /^(not-)?moved$/.test(event))
      .map(({ event, reason }) => ({ event, reason }));
  };
  const there = () => containers.list().map(({ name, guest, phase }) => `${name} in ${guest}, ${phase}`);
  return { state, containers, old, origin, target, asked, drains, adopted, told, there };
}

test('it was stopped with its checkpoint: it comes back from that, where it was to go', async () => {
  const { containers, old, drains, asked, told, there, origin } = await cutOff({ phase: 'stopped' });
  // No restart policy and nobody else touches it until then.
  assert.is(containers.isBusy(old.id), true);
  await drains.finish();
  assert.equal(asked, ['drain-1 in guest-b']);
  assert.equal(there(), ['web in guest-b, created']);
  assert.ok(origin.calls.includes(`deleteContainer ${old.id}`));
  assert.equal(await told(), [{ event: 'moved', reason: 'from guest guest-a, by checkpoint drain-1' }]);
  assert.equal(containers.leftDrains(), []);
});

test('the guest where it was to go is away, or refuses: it goes to another, and in the end back', async () => {
  for (const [away, failing, expected] of [
    [['guest-b'], [], ['guest-c']],
    [['guest-c'], ['guest-b'], ['guest-b', 'guest-a']],
    [['guest-b', 'guest-c'], [], ['guest-a']],
  ] as const) {
    const { drains, asked, there } = await cutOff({
      phase: 'stopped',
      away: [...away],
      failing: [...failing],
    });
    await drains.finish();
    assert.equal(
      asked,
      expected.map((guest) => `drain-1 in ${guest}`),
    );
    assert.equal(there(), [`web in ${expected.at(-1)}, created`]);
  }
});

test('no guest takes it: it is tried again a few times, told each time, and stays stopped under its name', async () => {
  const { containers, old, drains, told, there } = await cutOff({
    phase: 'stopped',
    failing: ['guest-a', 'guest-b', 'guest-c'],
  });
  await drains.finish();
  assert.equal(there(), ['web in guest-a, stopped']);
  const reasons = (await told()).map(({ reason }) => reason);
  assert.is(reasons.length, 3);
  assert.is(reasons[0], 'no room in guest-a; checkpoint drain-1 has its state; tried again in 1 ms');
  assert.match(reasons[2]!, /given up$/);
  assert.is(containers.isBusy(old.id), false);
});

test('its checkpoint was not whole: it runs on where it is, once that is known, and that is told', async () => {
  const { drains, asked, told, there, adopted, old, containers } = await cutOff({
    phase: 'checkpointing',
    committed: false,
  });
  await drains.finish();
  assert.is(containers.isBusy(old.id), true);
  containers.get('web').recorder.change(containers.get('web'), { phase: 'running' });
  adopted.add('guest-a');
  await drains.finish();
  assert.equal(asked, []);
  assert.equal(there(), ['web in guest-a, running']);
  assert.equal(await told(), [{ event: 'not-moved', reason: 'the plane ended while it was to be moved' }]);
  assert.is(containers.isBusy(old.id), false);
});

test('the other was being restored: while that goes on nothing else is begun, and then nothing is left to do', async () => {
  const { containers, drains, asked, there, target } = await cutOff({
    phase: 'stopped',
    async during(first, old, guest) {
      const begun = Promise.withResolvers<void>();
      void first.replace(old, async () => {
        const made = await first.admit({ name: 'web', guest, recipe: RECIPE, ports: [], phase: 'restoring' });
        void first.recorded(made, { verb: 'restore' }, never);
        begun.resolve();
        return never();
      });
      await begun.promise;
    },
  });
  await drains.finish();
  assert.equal(containers.leftDrains(), []);
  // The restore is taken up, as far as anybody can tell here: it is over, and its container is there.
  target.on('listContainers', () => []);
  await containers.adopt(target);
  await drains.finish();
  await until('one of the two', () => containers.list().length === 1);
  assert.equal(asked, []);
  assert.match(there()[0]!, /^web in guest-b/);
});

test('a plane that ends while it tries leaves it to the next one', async () => {
  const world = await cutOff({ phase: 'stopped', failing: ['guest-a', 'guest-b', 'guest-c'] });
  const trying = world.drains.finish();
  world.drains.close();
  world.containers.close();
  await trying;
  const next = containersOver(world.state, world.origin);
  await next.settleMoves();
  assert.is(next.leftDrains().length, 1);
  next.close();
});

test.run();
