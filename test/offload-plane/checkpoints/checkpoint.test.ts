import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { Duplex, duplexPair, PassThrough } from 'node:stream';
import tar from 'tar-stream';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Following } from '../../../offload-plane/checkpoints/cancellation.ts';
import { takeCheckpoint } from '../../../offload-plane/checkpoints/checkpoint.ts';
import { createDumpInbox, type DumpInbox } from '../../../offload-plane/checkpoints/dump-inbox.ts';
import { createLineage } from '../../../offload-plane/checkpoints/lineage.ts';
import type { Container } from '../../../offload-plane/containers/container.ts';
import type { Containers } from '../../../offload-plane/containers/containers.ts';
import type { PageStoreOptions } from '../../../offload-plane/page-store/contract.ts';
import { OffloadError } from '../../../platform/errors.ts';
import { MIB } from '../../../platform/units.ts';
import { DUMP, DUMPED_PAGE_COUNT, relayCriuDump } from '../../helpers/criu-dump.ts';
import { type FakeGuest, fakeGuest } from '../../helpers/fake-guest.ts';
import { containersOf, DEADLINE_MS, FIRST_ID, silentLogger } from '../../helpers/plane-parts.ts';
import { rejection } from '../../helpers/rejection.ts';
import { socketPair } from '../../helpers/socket-pair.ts';
import { makeStore, type StoreFixture, writeCheckpoint } from '../page-store/fixture.ts';

const TOKEN = 'ab'.repeat(32);
const FILES = { 'images/core-1.img': 'core', 'images/inventory.img': 'inventory', 'rootfs-diff.tar': 'diff' };

interface World extends StoreFixture {
  guest: FakeGuest;
  inbox: DumpInbox;
  containers: Containers;
  container: Container;
  take(
    after?: 'stop' | 'resume',
    deadlineMs?: number,
    following?: Following,
  ): ReturnType<typeof takeCheckpoint>;
}

/** A running container `web` in a guest that does its part of a checkpoint. */
async function withWorld(
  body: (world: World) => Promise<void>,
  options: Partial<PageStoreOptions> = {},
): Promise<void> {
  const fixture = await makeStore(options);
  const guest = fakeGuest();
  const inbox = createDumpInbox(silentLogger);
  const containers = containersOf(guest);
  await containers.create({ name: 'web', guest: 'guest-a', image: 'redis' });
  await containers.start('web');
  guest.calls.length = 0;
  guest.on('checkpointContainer', ({ token }) => dump(inbox, token));
  guest.onStream(() => {
    guest.calls.push('files');
    return filesOf(FILES);
  });
  guest.on('finishCheckpoint', async ({ action }) => {
    guest.calls.push(`${action} with ${(await fixture.store.list()).length} committed`);
    return { frozenMs: 12 };
  });
  const container = containers.get('web');
  const { store } = fixture;
  const lineage = createLineage(store);
  const newToken = () => TOKEN;
  const take = (after: 'stop' | 'resume' = 'resume', deadlineMs = DEADLINE_MS, following: Following = {}) =>
    takeCheckpoint(
      { id: 'warm', container, guest, after, preDumpRounds: 0, deadlineMs, ...following },
      { store, inbox, lineage, newToken },
    );
  try {
    await body({ ...fixture, guest, inbox, containers, container, take });
  } finally {
    containers.close();
    await fixture.remove();
  }
}

async function dump(inbox: DumpInbox, token: string, bytes = DUMP) {
  const [near, far] = await socketPair();
  void inbox.accept(far, 'guest-a', DEADLINE_MS);
  await relayCriuDump(near, token, bytes).catch((error: unknown) => {
    throw new OffloadError('runtime_failed', 'CRIU: connection reset by peer', { cause: error });
  });
  return { dumpMs: 1, imageFiles: [], rootfsDiffFileCount: 0 };
}

function filesOf(files: Record<string, string>) {
  const pack = tar.pack();
  for (const [name, content] of Object.entries(files)) pack.entry({ name }, content);
  pack.finalize();
  const [near, far] = duplexPair();
  pack.on('data', (chunk) => near.write(chunk));
  pack.on('end', () => near.end());
  return far;
}

/** The container runs on as if nothing had been, and the store holds nothing. */
async function assertUndone({ container, store, guest }: World): Promise<void> {
  assert.is(container.phase, 'running');
  assert.equal(await store.list(), []);
  assert.is(store.usedBytes, 0);
  assert.is(guest.calls.at(-1), 'resume with 0 committed');
  assert.is((await rejection(store.open('warm'))).code, 'not_found');
}

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

test('a commit that fails while the container runs on leaves nothing, and nothing to build on', async () => {
  await withWorld(async (world) => {
    const { guest, directory, take } = world;
    const finished: object[] = [];
    guest.on('finishCheckpoint', (body) => {
      if (finished.length === 0) rmSync(join(directory, 'incoming', 'warm'), { recursive: true });
      finished.push(body);
      guest.calls.push('resume with 0 committed');
      return { frozenMs: 12 };
    });
    await rejection(take('resume'));
    assert.equal(finished, [
      { action: 'resume', committed: true },
      { action: 'resume', committed: false },
    ]);
    await assertUndone(world);
  });
});

test('a container that cannot be resumed is asked once more, and there is no checkpoint of it', async () => {
  await withWorld(async (world) => {
    const { guest, take } = world;
    let askedCount = 0;
    guest.on('finishCheckpoint', () => {
      guest.calls.push('resume with 0 committed');
      if (++askedCount === 1) throw new OffloadError('runtime_failed', 'resume container web: no');
      return { frozenMs: 1 };
    });
    assert.is((await rejection(take('resume'))).message, 'resume container web: no');
    assert.is(askedCount, 2);
    await assertUndone(world);
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

test('one that is cancelled while its pages come, or after, leaves nothing, and its container runs on at once', async () => {
  await withWorld(async (world) => {
    const { guest, take } = world;
    const cancelled = async (signal: AbortSignal) => {
      const error = await rejection(take('stop', DEADLINE_MS, { signal }));
      assert.is(error.code, 'cancelled');
      assert.is(error.message, 'checkpoint container web: it was cancelled');
      await assertUndone(world);
    };
    const late = new AbortController();
    guest.onStream(() => {
      late.abort();
      return filesOf(FILES);
    });
    await cancelled(late.signal);
    const early = new AbortController();
    const { promise: cutOff, resolve: cutOffNow } = Promise.withResolvers<never>();
    guest.on('finishCheckpoint', () => {
      guest.calls.push('resume with 0 committed');
      cutOffNow(undefined as never);
      return { frozenMs: 1 };
    });
    guest.on('checkpointContainer', () => {
      early.abort();
      return cutOff;
    });
    await cancelled(early.signal);
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

test('a dump that fails in the guest says why, undoes everything and uses its token up', async () => {
  await withWorld(async (world) => {
    const { guest, inbox, take } = world;
    guest.on('checkpointContainer', () => {
      throw new OffloadError('runtime_failed', 'checkpoint container web: CRIU: no memory for this');
    });
    const error = await rejection(take());
    assert.is(error.code, 'runtime_failed');
    assert.is(error.message, 'checkpoint container web: CRIU: no memory for this');
    await assertUndone(world);
    const [near, late] = duplexPair();
    near.on('error', () => {});
    near.write(Buffer.from(TOKEN, 'hex'));
    await inbox.accept(late, 'guest-a', DEADLINE_MS);
    assert.ok(late.destroyed);
  });
});

test('a guest that fails after it has dialled in leaves no open stream', async () => {
  await withWorld(async (world) => {
    const { guest, inbox, take } = world;
    const [near, far] = duplexPair();
    near.on('error', () => {});
    guest.on('checkpointContainer', async ({ token }) => {
      near.write(Buffer.from(token, 'hex'));
      await inbox.accept(far, 'guest-a', DEADLINE_MS);
      throw new OffloadError('runtime_failed', 'crun checkpoint web: no');
    });
    assert.is((await rejection(take())).message, 'crun checkpoint web: no');
    assert.ok(far.destroyed);
    await assertUndone(world);
  });
});

test('a dump that breaks off or does not speak the protocol undoes everything', async () => {
  for (const bytes of [DUMP.subarray(0, 5_000), Buffer.alloc(200, 0xff)]) {
    await withWorld(async (world) => {
      const { guest, inbox, take } = world;
      guest.on('checkpointContainer', async ({ token }) => {
        const [near, far] = await socketPair();
        near.resume();
        near.end(Buffer.concat([Buffer.from(token, 'hex'), bytes]));
        await inbox.accept(far, 'guest-a', DEADLINE_MS);
        return { dumpMs: 1, imageFiles: [], rootfsDiffFileCount: 0 };
      });
      assert.is((await rejection(take())).code, 'page_protocol_violation');
      await assertUndone(world);
    });
  }
});

test('a full store says so, not that CRIU lost its peer', async () => {
  await withWorld(
    async (world) => {
      const error = await rejection(world.take());
      assert.is(error.code, 'no_space');
      await assertUndone(world);
    },
    { quotaBytes: 4_096 },
  );
});

test('files that cannot be had, have no place or break off undo everything', async () => {
  const refused = () => {
    throw new OffloadError('invalid_state', 'read checkpoint of container web: it is running');
  };
  const cut = () => {
    const stream = new PassThrough();
    const pack = tar.pack();
    pack.entry({ name: 'images/core-1.img', size: 5_000 }).write('core');
    pack.once('data', (header) => {
      stream.write(header);
      setImmediate(() => stream.destroy(new OffloadError('guest_lost', 'guest guest-a hung up')));
    });
    return stream;
  };
  for (const [open, code, message] of [
    [refused, 'invalid_state', /it is running$/],
    [cut, 'guest_lost', /hung up$/],
    [() => filesOf({ 'etc/passwd': 'x' }), 'guest_lost', /sent an unexpected file etc\/passwd$/],
    [() => Duplex.from([Buffer.alloc(1_024, 'no tar')]), 'guest_lost', /^checkpoint files: /],
    [() => filesOf({ 'images/../../x': 'x' }), 'invalid_request', /x/],
  ] as const) {
    await withWorld(async (world) => {
      world.guest.onStream(open);
      const error = await rejection(world.take());
      assert.is(error.code, code, error.message);
      assert.match(error.message, message);
      await assertUndone(world);
    });
  }
});

test('a commit that fails undoes everything', async () => {
  await withWorld(async (world) => {
    const { guest, directory, take } = world;
    guest.onStream(() => {
      rmSync(join(directory, 'incoming', 'warm'), { recursive: true });
      return filesOf({});
    });
    await rejection(take('stop'));
    await assertUndone(world);
  });
});

test('a container that cannot be ended runs on, and the committed checkpoint stays and is said to', async () => {
  await withWorld(async ({ guest, container, store, take }) => {
    guest.on('finishCheckpoint', ({ action }) => {
      guest.calls.push(action);
      if (action === 'stop') throw new OffloadError('runtime_failed', 'end container web: it does not die');
      return { frozenMs: 1 };
    });
    const error = await rejection(take('stop'));
    assert.is(error.code, 'runtime_failed');
    assert.is(
      error.message,
      'checkpoint warm is committed, but its container was not stopped: end container web: it does not die',
    );
    assert.is(guest.calls.at(-1), 'resume');
    assert.is(container.phase, 'running');
    assert.equal(
      (await store.list()).map(({ id }) => id),
      ['warm'],
    );
  });
});

test('a refused dump whose end is lost on its way into the guest is ended by the call to resume', async () => {
  await withWorld(
    async (world) => {
      const resumed = Promise.withResolvers<void>();
      world.guest.on('checkpointContainer', async ({ token }) => {
        await dump(world.inbox, token).catch(() => undefined);
        await resumed.promise;
        throw new OffloadError('runtime_failed', 'checkpoint container web: cancelled');
      });
      world.guest.on('finishCheckpoint', ({ action }) => {
        resumed.resolve();
        world.guest.calls.push(`${action} with 0 committed`);
        return { frozenMs: 1 };
      });
      assert.is((await rejection(world.take())).code, 'no_space');
      await assertUndone(world);
    },
    { quotaBytes: 4_096 },
  );
});

test('a guest that is lost on the way takes its container with it, and the store holds nothing', async () => {
  await withWorld(async ({ guest, container, store, take }) => {
    guest.onStream(() => {
      guest.lost = true;
      throw new OffloadError('guest_lost', 'GET files: guest guest-a hung up');
    });
    assert.is((await rejection(take())).code, 'guest_lost');
    assert.is(container.phase, 'lost');
    assert.equal(await store.list(), []);
  });
});

test('an agent that answers though nothing was dumped meets the deadline', async () => {
  await withWorld(async (world) => {
    const { guest, take } = world;
    guest.on('checkpointContainer', () => ({ dumpMs: 1, imageFiles: [], rootfsDiffFileCount: 0 }));
    const error = await rejection(take('stop', 60));
    assert.is(error.code, 'deadline_exceeded');
    assert.is(error.message, 'checkpoint container web: take its pages: no answer within 60 ms');
    await assertUndone(world);
  });
});

test.run();
