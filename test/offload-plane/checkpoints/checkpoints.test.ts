import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { recipeOfManifest } from '../../../offload-plane/checkpoints/checkpoints.ts';
import { createDumpInbox } from '../../../offload-plane/checkpoints/dump-inbox.ts';
import { createMetrics } from '../../../offload-plane/metrics.ts';
import { DUMP, DUMPED_PAGE_COUNT, relayCriuDump } from '../../helpers/criu-dump.ts';
import { fakeGuest } from '../../helpers/fake-guest.ts';
import {
  checkpointsOver,
  containersOver,
  DEADLINE_MS,
  RECIPE,
  silentLogger,
} from '../../helpers/plane-parts.ts';
import { rejection } from '../../helpers/rejection.ts';
import { socketPair } from '../../helpers/socket-pair.ts';
import { openState } from '../../helpers/state.ts';
import { makeStore, writeCheckpoint } from '../page-store/fixture.ts';

const END_OF_TAR = Buffer.alloc(1_024);
const WARM = { container: 'web', id: 'warm', after: 'resume' } as const;

/** The plane's checkpoints over a real store, and a guest with a running container `web`. */
async function withCheckpoints(body: (world: Awaited<ReturnType<typeof makeWorld>>) => Promise<void>) {
  const world = await makeWorld();
  try {
    await body(world);
  } finally {
    world.containers.close();
    await world.remove();
  }
}

async function makeWorld() {
  const fixture = await makeStore();
  const guest = fakeGuest();
  const inbox = createDumpInbox(silentLogger);
  const state = openState();
  const containers = containersOver(state, guest);
  const metrics = createMetrics();
  const checkpoints = checkpointsOver(state, fixture.store, containers, guest, { inbox, metrics });
  await containers.create({ name: 'web', guest: 'guest-a', image: 'redis' });
  await containers.start('web');
  guest.on('checkpointContainer', async ({ token }) => {
    const [near, far] = await socketPair();
    void inbox.accept(far, 'guest-a', DEADLINE_MS);
    await relayCriuDump(near, token);
  });
  guest.onStream(() => new PassThrough().end(END_OF_TAR));
  guest.on('finishCheckpoint', () => ({ frozenMs: 12 }));
  return { ...fixture, guest, containers, checkpoints, metrics };
}

test('a checkpoint is shown with what it holds, and counted', async () => {
  await withCheckpoints(async ({ checkpoints, metrics, store }) => {
    const { createdAt, ...view } = await checkpoints.create(WARM);
    const [transfer] = view.transfers!;
    assert.is(transfer!.receivedBytes, DUMP.length);
    assert.is(transfer!.preDump, false);
    assert.ok(view.bytes > DUMPED_PAGE_COUNT * 4_096 && view.bytes <= store.usedBytes);
    assert.equal(view, {
      id: 'warm',
      container: 'web',
      tenant: 'default',
      image: 'redis',
      pinned: false,
      pageCount: DUMPED_PAGE_COUNT,
      zeroPageCount: 0,
      inheritedPageCount: 0,
      bytes: view.bytes,
      sharedBytes: 0,
      transfers: [transfer],
      hasOrderLog: false,
      frozenMs: 12,
    });
    assert.equal(await checkpoints.list(), [{ createdAt, ...view }]);
    assert.equal(await checkpoints.inspect('warm'), { createdAt, ...view });
    assert.match(await metrics.text(), /^offload_checkpoints_total 1$/m);
  });
});

test('a checkpoint names its container as it was called when it was taken, whatever its hostname is', async () => {
  await withCheckpoints(async ({ checkpoints, containers }) => {
    await containers.rename('web', 'shop');
    assert.is((await checkpoints.create({ ...WARM, container: 'shop' })).container, 'shop');
    await containers.rename('shop', 'other');
    assert.is((await checkpoints.inspect('warm')).container, 'shop');
  });
});

test('checkpoints of one tenant store equal pages once, those of another nothing of theirs', async () => {
  await withCheckpoints(async ({ checkpoints, containers }) => {
    await containers.create({ name: 'theirs', guest: 'guest-a', image: 'redis', tenant: 'other' });
    await containers.start('theirs');
    await checkpoints.create(WARM);
    const again = await checkpoints.create({ ...WARM, id: 'again' });
    assert.is(again.sharedBytes, DUMPED_PAGE_COUNT * 4_096);
    const theirs = await checkpoints.create({ ...WARM, id: 'theirs', container: 'theirs' });
    assert.is(theirs.tenant, 'other');
    assert.is(theirs.sharedBytes, 0);
  });
});

test('a pinned checkpoint says so and is not removed until it is unpinned', async () => {
  await withCheckpoints(async ({ checkpoints, store }) => {
    await checkpoints.create(WARM);
    assert.is((await checkpoints.pin('warm')).pinned, true);
    assert.is((await checkpoints.list())[0]!.pinned, true);
    assert.is(store.figures.pinnedCount, 1);
    assert.is(
      (await rejection(checkpoints.remove('warm'))).message,
      'page store remove: checkpoint warm is pinned',
    );
    assert.is((await checkpoints.unpin('warm')).pinned, false);
    await checkpoints.remove('warm');
    assert.is((await rejection(checkpoints.pin('warm'))).code, 'not_found');
  });
});

test("the guest gets a token of 32 random bytes and a deadline that grows with the guest's slowness", async () => {
  await withCheckpoints(async ({ checkpoints, guest }) => {
    Object.assign(guest, { deadlineScale: 2.5 });
    let body: { token: string; deadlineMs: number } | undefined;
    guest.on('checkpointContainer', (asked) => {
      body = asked;
      throw new Error('enough');
    });
    const error = await rejection(checkpoints.create(WARM));
    assert.is(error.message, 'checkpoint container web: enough');
    assert.is(body?.token, '07'.repeat(32));
    assert.ok(
      body!.deadlineMs > DEADLINE_MS && body!.deadlineMs <= 2.5 * DEADLINE_MS,
      'the agent ends first',
    );
  });
});

test('a container that does not run, or is being checkpointed, is refused and left alone', async () => {
  await withCheckpoints(async ({ checkpoints, containers, guest }) => {
    const first = checkpoints.create(WARM);
    const second = await rejection(checkpoints.create({ ...WARM, id: 'other' }));
    assert.is(second.code, 'invalid_state');
    assert.is(second.message, 'checkpoint container web: it is checkpointing, not running');
    await first;
    await containers.pause('web');
    assert.is((await rejection(checkpoints.create({ ...WARM, id: 'other' }))).code, 'invalid_state');
    assert.is(containers.get('web').phase, 'paused');
    assert.is((await rejection(checkpoints.create({ ...WARM, container: 'none' }))).code, 'not_found');
    assert.is(guest.calls.filter((call) => call.startsWith('checkpointContainer')).length, 1);
  });
});

test('a container of a guest that is gone is refused', async () => {
  await withCheckpoints(async ({ checkpoints, guest, store }) => {
    guest.lost = true;
    const error = await rejection(checkpoints.create(WARM));
    assert.is(error.code, 'guest_lost');
    assert.is(error.message, 'checkpoint container web: guest guest-a is gone');
    assert.equal(await store.list(), []);
  });
});

test('one that names no container is left out of the list; inspecting it says what is wrong', async () => {
  await withCheckpoints(async ({ checkpoints, store }) => {
    await writeCheckpoint(store, 'foreign');
    await checkpoints.create(WARM);
    assert.equal(
      (await checkpoints.list()).map(({ id }) => id),
      ['warm'],
    );
    const error = await rejection(checkpoints.inspect('foreign'));
    assert.is(error.code, 'incomplete_checkpoint');
    assert.is(error.message, 'checkpoint foreign: its manifest names no container');
  });
});

test('one with a damaged file does not keep the others from the list', async () => {
  await withCheckpoints(async ({ checkpoints, directory }) => {
    await checkpoints.create(WARM);
    await checkpoints.create({ ...WARM, id: 'broken' });
    rmSync(join(directory, 'checkpoints', 'broken', 'index'));
    assert.equal(
      (await checkpoints.list()).map(({ id }) => id),
      ['warm'],
    );
    writeFileSync(join(directory, 'checkpoints', 'broken', 'manifest.json'), '{');
    assert.is((await rejection(checkpoints.inspect('broken'))).code, 'incomplete_checkpoint');
  });
});

test('a removed checkpoint is gone, its bytes are free, and one that never was is not found', async () => {
  await withCheckpoints(async ({ checkpoints, store }) => {
    await checkpoints.create(WARM);
    await checkpoints.remove('warm');
    assert.equal(await checkpoints.list(), []);
    assert.is(store.usedBytes, 0);
    assert.is((await rejection(checkpoints.inspect('warm'))).code, 'not_found');
    assert.is((await rejection(checkpoints.remove('warm'))).code, 'not_found');
    assert.is((await rejection(checkpoints.inspect('../images'))).code, 'invalid_request');
  });
});

test("the container of a manifest is the plane's own record of it", () => {
  const manifest = { id: 'warm', meta: { guest: 'guest-a', recipe: RECIPE } };
  assert.equal(recipeOfManifest(manifest as never), RECIPE);
  const { tenant, ...older } = RECIPE;
  const earlier = { id: 'warm', meta: { guest: 'guest-a', recipe: older } };
  assert.equal(recipeOfManifest(earlier as never), { ...older, tenant: 'default' });
});

test.run();
