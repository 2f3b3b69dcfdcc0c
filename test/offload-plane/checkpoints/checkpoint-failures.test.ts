/** Whatever fails before the commit: the container runs on, and the store holds nothing. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { Duplex, duplexPair, PassThrough } from 'node:stream';
import tar from 'tar-stream';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { OffloadError } from '../../../platform/errors.ts';
import { DUMP } from '../../helpers/criu-dump.ts';
import { DEADLINE_MS } from '../../helpers/plane-parts.ts';
import { rejection } from '../../helpers/rejection.ts';
import { socketPair } from '../../helpers/socket-pair.ts';
import { assertUndone, dump, FILES, filesOf, TOKEN, withWorld } from './checkpoint-world.ts';

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
