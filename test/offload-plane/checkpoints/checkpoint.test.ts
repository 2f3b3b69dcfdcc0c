import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { OffloadError } from '../../../platform/errors.ts';
import { MIB } from '../../../platform/units.ts';
import { DUMP, DUMPED_PAGE_COUNT } from '../../helpers/criu-dump.ts';
import { DEADLINE_MS, FIRST_ID } from '../../helpers/plane-parts.ts';
import { rejection } from '../../helpers/rejection.ts';
import { writeCheckpoint } from '../page-store/fixture.ts';
import { withWorld } from './checkpoint-world.ts';

test('pages come first, then files, then the commit, and only then the container is ended', async () => {
  await withWorld(async ({ guest, container, store, take }) => {
    const { manifest, frozenMs, transfers } = await take('stop');
    assert.equal(guest.calls, [
      `containerStats ${FIRST_ID}`,
      `checkpointContainer ${FIRST_ID}`,
      'files',
      `finishCheckpoint ${FIRST_ID}`,
      'stop with 1 committed',
    ]);
    assert.is(container.phase, 'stopped');
    assert.is(manifest.pageCount, DUMPED_PAGE_COUNT);
    assert.equal(
      transfers.map(({ preDump, receivedBytes }) => ({ preDump, receivedBytes })),
      [{ preDump: false, receivedBytes: DUMP.length }],
    );
    assert.is(frozenMs, 12);
    assert.equal(manifest.meta, {
      ...{ recipe: container.recipe, guest: 'guest-a', transfers },
      container: 'web',
    });
    const reader = await store.open('warm');
    assert.equal(reader.imageFiles(), ['core-1.img', 'inventory.img']);
    assert.is(String(await reader.readImage('core-1.img')), 'core');
    assert.is(manifest.files['rootfs-diff.tar']?.bytes, 4);
    await reader.close();
  });
});

test('a container that is to run on does so once everything of it has come, while the store commits', async () => {
  await withWorld(async ({ guest, container, store, take }) => {
    const { frozenMs } = await take('resume');
    assert.is(container.phase, 'running');
    assert.is(frozenMs, 12);
    assert.is(guest.calls.at(-2), `finishCheckpoint ${FIRST_ID}`);
    assert.is(guest.calls.at(-1), 'resume with 0 committed');
    assert.is((await store.list()).length, 1);
  });
});

test('a container that has more memory than the store has room is refused before it is touched', async () => {
  await withWorld(
    async ({ guest, store, take }) => {
      guest.on('containerStats', () => ({ memoryAnonymousBytes: 40 * MIB }));
      const error = await rejection(take());
      assert.is(error.code, 'no_space');
      assert.match(error.message, /needs 41943040 bytes, 33554432 bytes are free/);
      assert.equal(guest.calls, [`containerStats ${FIRST_ID}`]);
      assert.is(store.usedBytes, 0);
    },
    { quotaBytes: 32 * MIB },
  );
});

test('room is made before the container is touched: what was not used for the longest time goes, pinned stays', async () => {
  const evicted: string[] = [];
  await withWorld(
    async ({ guest, store, take }) => {
      for (const id of ['pinned', 'oldest', 'recent']) await writeCheckpoint(store, id);
      await store.pin('pinned');
      const need = 4 * MIB - store.usedBytes + 4_096;
      guest.on('containerStats', () => ({ memoryAnonymousBytes: need }));
      guest.on('checkpointContainer', () => {
        assert.equal(evicted, ['oldest']);
        throw new OffloadError('runtime_failed', 'enough');
      });
      assert.is((await rejection(take())).message, 'enough');
      assert.is((await store.list()).length, 2);
    },
    { quotaBytes: 4 * MIB, onEvicted: (id) => evicted.push(id) },
  );
});

test('a guest that claims more memory than it has costs no other checkpoint its place', async () => {
  const evicted: string[] = [];
  await withWorld(
    async ({ guest, store, take }) => {
      await writeCheckpoint(store, 'other');
      guest.on('containerStats', () => ({ memoryAnonymousBytes: Number.MAX_SAFE_INTEGER }));
      await take();
      assert.equal(evicted, []);
    },
    { quotaBytes: 80 * MIB, onEvicted: (id) => evicted.push(id) },
  );
});

test('while it is checkpointed a container says so, and its end in between is not overwritten', async () => {
  await withWorld(async ({ guest, container, containers, take }) => {
    guest.on('finishCheckpoint', () => {
      assert.is(container.phase, 'checkpointing');
      const exit = { sequence: 1, atMs: 0, container: FIRST_ID, event: 'exited', exitCode: 3 } as const;
      containers.onAgentEvent(exit, 'guest-a');
      return { frozenMs: 1 };
    });
    await take('resume');
    assert.is(container.phase, 'stopped');
    assert.is(container.exitCode, 3);
  });
});

test('a taken id is refused before the container is touched', async () => {
  await withWorld(async ({ guest, container, take }) => {
    await take();
    guest.calls.length = 0;
    const error = await rejection(take());
    assert.is(error.code, 'already_exists');
    assert.is(container.phase, 'running');
    assert.equal(guest.calls, []);
  });
});

test('who follows a checkpoint is told of its pages', async () => {
  await withWorld(async ({ take }) => {
    const told: string[] = [];
    await take('resume', DEADLINE_MS, { progress: (text) => told.push(text) });
    assert.match(told[0]!, /^[0-3] pages$/);
    assert.is(told.at(-1), 'verifying what was written');
  });
});

test.run();
