import { connect } from 'node:net';
import { duplexPair } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { memoryIndex } from '../../../offload-plane/restores/memory-index.ts';
import { containersOver, DEADLINE_MS, FIRST_ID, RECIPE } from '../../helpers/plane-parts.ts';
import { rejection } from '../../helpers/rejection.ts';
import { until } from '../../helpers/until.ts';
import { writeCheckpoint } from '../page-store/fixture.ts';
import { FILE_PAGES, TOTAL_PAGES, withRestores } from './world.ts';

test("the agent gets the container as the plane has it, the session's token and less time than the plane", async () => {
  await withRestores(async ({ create, asked, sessions, images, guest }) => {
    Object.assign(guest, { deadlineScale: 2 });
    await create({ name: 'again', policy: 'lazy' });
    const { deadlineMs, ...request } = asked[0]!;
    assert.equal(request, {
      spec: { ...RECIPE.spec, id: FIRST_ID, rootfsLun: 1 },
      token: sessions[0]?.token,
      lazyPages: true,
      hold: false,
    });
    assert.ok(deadlineMs > DEADLINE_MS && deadlineMs < 2 * DEADLINE_MS);
    assert.ok(images[0]?.includes('images/core-42.img'));
    assert.ok(images[0]?.includes('images/pagemap-42.img'));
  });
});

test('what a restore was and how its pages came outlives the plane, a late first response too', async () => {
  await withRestores(async ({ create, complete, restores, containers, reopened, state, guest }) => {
    const { id } = await create({ policy: 'eager' });
    await complete(id);
    containers.get('web').onFirstResponse!();
    await until('the first response', () => reopened().get(id).firstResponseMs !== undefined);
    const next = reopened();
    assert.equal(next.get(id), restores.get(id));
    assert.equal(next.timeline(id).view(), restores.timeline(id).view());
    assert.is(next.timeline(id).view().marks.at(-1)?.mark, 'firstResponse');
    const known = containersOver(state, guest).get('web');
    assert.equal(known.restoredFrom, { checkpoint: 'warm', container: 'web' });
  });
});

test('a complete restore keeps its figures when its container ends, and lets go of the checkpoint', async () => {
  await withRestores(async ({ create, complete, restores, store }) => {
    const { id } = await create({ policy: 'lazy' });
    await complete(id);
    assert.is((await rejection(store.remove('warm'))).code, 'invalid_state');
    await restores.onContainerGone(FIRST_ID, 'guest-a');
    assert.is(restores.get(id).phase, 'complete');
    assert.is(restores.get(id).totalPageCount, TOTAL_PAGES);
    await store.remove('warm');
  });
});

test("the ports are those asked for or else the checkpoint's, and the first answer on one is noted", async () => {
  await withRestores(async ({ create, complete, restores, containers, store, guest, metrics }) => {
    const recipe = { ...RECIPE, containerPorts: [80], spec: { ...RECIPE.spec, address: '10.88.0.9/16' } };
    await writeCheckpoint(store, 'served', {}, { guest: 'guest-a', recipe });
    guest.onStream(() => {
      const [near, far] = duplexPair();
      far.end('ready');
      return near;
    });
    const { id } = await create({ checkpoint: 'served', policy: 'lazy' });
    const { hostPort } = containers.get('web').forwards[0]!;
    const client = connect({ port: hostPort, host: '127.0.0.1' });
    assert.is(String(await buffer(client)), 'ready');
    await until('the mark', () => restores.get(id).firstResponseMs !== undefined);
    assert.is(restores.get(id).pageCountAtResponse, FILE_PAGES);
    assert.match(await metrics.text(), /^offload_restore_first_response_seconds_count\{policy="lazy"\} 1$/m);
    await complete(id);
  });
});

test('memory is compared once the restore is complete, and the answer is kept', async () => {
  await withRestores(async ({ create, complete, restores, guest, store }) => {
    const { id } = await create({ policy: 'lazy' });
    const early = await rejection(restores.compareMemory(id));
    assert.is(early.code, 'invalid_state');
    assert.is(early.message, `compare memory of restore ${id}: it is running, not complete`);
    await complete(id);
    const answer = {
      ...{ pages: 306, equal: 300, changed: 6, softDirtyChanged: 6, unmapped: 0, zeroed: 0 },
      firstChanged: null,
    };
    const reader = await store.open('warm');
    guest.onUpload(async ({ path }, body) => {
      assert.is(path, `/v1/containers/${FIRST_ID}/memory-comparison`);
      assert.ok((await buffer(body)).equals(await buffer(memoryIndex(reader))));
      return answer;
    });
    assert.equal((await restores.compareMemory(id)).memory, answer);
    assert.equal(restores.get(id).memory, answer);
    guest.onUpload(async (_call, body) => {
      body.resume();
      return { ...answer, pages: 'all' };
    });
    const error = await rejection(restores.compareMemory(id));
    assert.is(error.code, 'guest_lost');
    assert.match(error.message, /an answer outside the schema$/);
    await reader.close();
  });
});

test.run();
