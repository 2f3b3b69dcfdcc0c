/** A plane that ends while a container takes the place of another; the next one knows only what is on record. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Containers } from '../../../offload-plane/containers/containers.ts';
import { fakeGuest } from '../../helpers/fake-guest.ts';
import { containersOver, RECIPE } from '../../helpers/plane-parts.ts';
import { openState } from '../../helpers/state.ts';
import { until } from '../../helpers/until.ts';

const never = () => new Promise<never>(() => {});

async function admitted(containers: Containers, name: string, guest: ReturnType<typeof fakeGuest>) {
  const spec = { ...RECIPE.spec, address: name === 'web' ? '10.88.0.2/16' : '10.88.0.3/16' };
  const recipe = { ...RECIPE, spec };
  const container = await containers.admit({ name, guest, recipe, ports: [], phase: 'created' });
  return container;
}

/** A plane ends in the middle of a move from guest-a to guest-b; `during` is what the move was at. */
async function cutOff(
  during: (containers: Containers, guest: ReturnType<typeof fakeGuest>) => Promise<void>,
) {
  const state = openState();
  const [from, to] = [fakeGuest('guest-a'), fakeGuest('guest-b')];
  const first = containersOver(state, from, to);
  const old = await admitted(first, 'web', from);
  await first.recorded(old, { verb: 'create' }, async () => {});
  const begun = Promise.withResolvers<void>();
  void first.replace(old, async () => {
    await during(first, to);
    begun.resolve();
    return never();
  });
  await begun.promise;
  assert.match(first.get(old.id).name, /^web\./);
  first.close();
  return { state, from, to, old };
}

const names = (containers: Containers) =>
  containers
    .list()
    .map(({ name, guest }) => `${name} in ${guest}`)
    .sort();

test('nothing had taken its place: it has its name again, and its guest need not be there', async () => {
  const { state } = await cutOff(async () => {});
  // Not one guest is reached.
  const next = containersOver(state);
  await next.settleMoves();
  assert.equal(names(next), ['web in guest-a']);
  assert.is(next.isBusy(next.get('web').id), false);
});

test('another had taken its place: the old one goes, from its guest when that is reached', async () => {
  const { state, from, old } = await cutOff(async (containers, guest) => {
    const container = await admitted(containers, 'new', guest);
    await containers.recorded(container, { verb: 'create' }, async () => {});
    containers.rename('new', 'web');
  });
  const next = containersOver(state);
  await next.settleMoves();
  assert.equal(names(next), ['web in guest-b']);
  next.close();
  const third = containersOver(state, from);
  from.on('listContainers', () => []);
  await third.adopt(from);
  assert.ok(from.calls.includes(`deleteContainer ${old.id}`));
});

test('what was to take its place is not decided yet: it waits, and its ports with it', async () => {
  for (const comesBack of [true, false]) {
    const { state, from, to } = await cutOff(async (containers, guest) => {
      const container = await admitted(containers, 'web', guest);
      void containers.recorded(container, { verb: 'restore' }, never);
    });
    let over: PromiseWithResolvers<void> | undefined;
    const next: Containers = containersOver(
      {
        ...state,
        async takeUpRestore(container) {
          over = Promise.withResolvers();
          if (!comesBack) await next.forget(container);
          return comesBack ? { over: over.promise } : {};
        },
      },
      from,
      to,
    );
    await next.settleMoves();
    assert.is(names(next).length, 2);
    to.on('listContainers', () => next.list().filter(({ guest }) => guest === 'guest-b'));
    await next.adopt(to);
    await until('the outcome', () => names(next).length === 1);
    assert.equal(names(next), [comesBack ? 'web in guest-b' : 'web in guest-a']);
    over?.resolve();
    next.close();
  }
});

test.run();
