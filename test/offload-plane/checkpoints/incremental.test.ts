/** Checkpoints on top of others, and of pre-dumps: what is asked of the agent, what is refused, what is left. */
import { PassThrough } from 'node:stream';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createDumpInbox } from '../../../offload-plane/checkpoints/dump-inbox.ts';
import type { PageStoreOptions } from '../../../offload-plane/page-store/contract.ts';
import { OffloadError } from '../../../platform/errors.ts';
import { DUMP, DUMPED_PAGE_COUNT, LATER_DUMP, relayCriuDump } from '../../helpers/criu-dump.ts';
import { fakeGuest } from '../../helpers/fake-guest.ts';
import { checkpointsOver, containersOver, DEADLINE_MS, silentLogger } from '../../helpers/plane-parts.ts';
import { rejection } from '../../helpers/rejection.ts';
import { socketPair } from '../../helpers/socket-pair.ts';
import { openState } from '../../helpers/state.ts';
import { makeStore, PAGE } from '../page-store/fixture.ts';

const END_OF_TAR = Buffer.alloc(1_024);
const HEAP = 0x7f00_0000_0000n;
const TASK = { kind: 'task', id: 1 } as const;
const FIRST = { container: 'web', id: 'first', after: 'resume' } as const;
const SECOND = { container: 'web', id: 'second', after: 'resume', parent: 'first' } as const;

interface Asked {
  call: string;
  token?: string;
  parent?: string;
  track?: boolean;
  committed?: boolean;
}

type World = Awaited<ReturnType<typeof makeWorld>>;

async function withWorld(body: (world: World) => Promise<void>, options: Partial<PageStoreOptions> = {}) {
  const world = await makeWorld(options);
  try {
    await body(world);
  } finally {
    world.containers.close();
    await world.remove();
  }
}

/** Two containers whose guest dumps three pages at first, and the second of them when it has a parent. */
async function makeWorld(options: Partial<PageStoreOptions>) {
  const fixture = await makeStore(options);
  const guest = fakeGuest();
  const inbox = createDumpInbox(silentLogger);
  const state = openState();
  let tokenCount = 0;
  /** What a plane makes of what is on disk. */
  const open = () => {
    const containers = containersOver(state, guest);
    const checkpoints = checkpointsOver(state, fixture.store, containers, guest, {
      inbox,
      randomBytes: (byteCount) => Buffer.alloc(byteCount, ++tokenCount),
    });
    return { containers, checkpoints };
  };
  const { containers, checkpoints } = open();
  for (const name of ['web', 'db']) {
    await containers.create({ name, guest: 'guest-a', image: 'redis' });
    await containers.start(name);
  }
  const asked: Asked[] = [];
  const dump = (call: string) => async (body: { token: string; parent?: string; track?: boolean }) => {
    const { token, parent, track } = body;
    asked.push({ call, token, ...(parent ? { parent } : {}), ...(track === undefined ? {} : { track }) });
    const [near, far] = await socketPair();
    void inbox.accept(far, 'guest-a', DEADLINE_MS);
    await relayCriuDump(near, token, parent === undefined ? DUMP : LATER_DUMP);
    return call === 'pre-dump' ? { dumpMs: 5, frozenMs: 2 } : { dumpMs: 5 };
  };
  guest.on('preDumpContainer', dump('pre-dump'));
  guest.on('checkpointContainer', dump('dump'));
  guest.on('finishCheckpoint', ({ action, committed }) => {
    asked.push({ call: action, committed });
    return { frozenMs: 12 };
  });
  guest.onStream(() => new PassThrough().end(END_OF_TAR));
  const ids = async () => (await fixture.store.list()).map(({ id }) => id).sort();
  return { ...fixture, guest, containers, checkpoints, open, asked, dump, ids };
}

const token = (number: number) => Buffer.alloc(32, number).toString('hex');
const MEMORY = Buffer.concat([Buffer.alloc(PAGE, 'p'), Buffer.alloc(PAGE, 'q'), Buffer.alloc(PAGE, 'p')]);

async function assertMemory({ store }: World, id: string): Promise<void> {
  const reader = await store.open(id);
  assert.ok((await reader.readPages(TASK, HEAP, DUMPED_PAGE_COUNT)).equals(MEMORY), id);
  await reader.close();
}

test('a checkpoint on top of another names its dump, brings what has changed and is whole without it', async () => {
  await withWorld(async (world) => {
    const { checkpoints, asked, ids } = world;
    await checkpoints.create(FIRST);
    const { createdAt, ...view } = await checkpoints.create(SECOND);
    assert.equal(asked, [
      { call: 'dump', token: token(1), track: true },
      { call: 'resume', committed: true },
      { call: 'dump', token: token(2), parent: token(1), track: true },
      { call: 'resume', committed: true },
    ]);
    assert.is(view.parent, 'first');
    assert.is(view.pageCount, DUMPED_PAGE_COUNT);
    assert.is(view.inheritedPageCount, 2);
    assert.equal(
      view.transfers!.map(({ receivedBytes, inheritedPageCount }) => ({ receivedBytes, inheritedPageCount })),
      [{ receivedBytes: LATER_DUMP.length, inheritedPageCount: 2 }],
    );
    assert.equal(await checkpoints.inspect('second'), { createdAt, ...view });
    await checkpoints.remove('first');
    assert.equal(await ids(), ['second']);
    await assertMemory(world, 'second');
    await checkpoints.create({ ...SECOND, id: 'third', parent: 'second' });
    await assertMemory(world, 'third');
  });
});

test('a plane that is started again goes on with the chain, and knows how long containers stood still', async () => {
  await withWorld(async (world) => {
    await world.checkpoints.create(FIRST);
    const again = world.open();
    await again.checkpoints.removeLeftovers();
    assert.is((await again.checkpoints.inspect('first')).frozenMs, 12);
    const view = await again.checkpoints.create(SECOND);
    assert.equal([view.parent, view.inheritedPageCount], ['first', 2]);
    assert.is(world.asked.at(-2)?.parent, token(1));
    await assertMemory(world, 'second');
    // What had begun and may have been dumped when the plane ended is not built on.
    const { containers, checkpoints } = world.open();
    world.guest.on('checkpointContainer', () => {
      assert.is(world.open().containers.get('web').trackedDump, undefined);
      throw new OffloadError('runtime_failed', 'no dump');
    });
    await rejection(checkpoints.create({ ...SECOND, id: 'third', parent: 'second' }));
    assert.match(
      (await rejection(checkpoints.create({ ...SECOND, id: 'third', parent: 'second' }))).message,
      /tracked since no checkpoint$/,
    );
    containers.close();
  });
});

test('a parent that is gone, is not the last, is of another container or was replaced is refused by name', async () => {
  await withWorld(async ({ checkpoints, containers, asked, ids }) => {
    const refused = async (request: { container?: string; parent: string }) => {
      const error = await rejection(checkpoints.create({ ...SECOND, ...request }));
      return `${error.code}: ${error.message}`;
    };
    await checkpoints.create(FIRST);
    await checkpoints.create({ ...FIRST, container: 'db', id: 'of-db' });
    asked.length = 0;
    assert.is(
      await refused({ parent: 'none' }),
      'not_found: checkpoint container web on top of none: page store open: no checkpoint none',
    );
    assert.is(
      await refused({ parent: 'of-db' }),
      'invalid_state: checkpoint container web on top of of-db: its changes are tracked since checkpoint first',
    );
    await checkpoints.remove('first');
    assert.match(
      await refused({ parent: 'first' }),
      /^not_found: .* on top of first: .*: no checkpoint first$/,
    );
    await checkpoints.create({ ...SECOND, container: 'db', id: 'first', parent: 'of-db' });
    asked.length = 0;
    assert.match(
      await refused({ parent: 'first' }),
      /^digest_mismatch: checkpoint container web on top of first: it has the digest \w{64}, the one that was taken had \w{64}$/,
    );
    assert.match(await refused({ container: 'db', parent: 'of-db' }), /tracked since checkpoint first$/);
    assert.equal(asked, [], 'no container was touched');
    assert.is(containers.get('web').phase, 'running');
    assert.equal(await ids(), ['first', 'of-db']);
  });
});

test('a checkpoint that fails on its way ends what could be built on; one refused before does not', async () => {
  await withWorld(async (world) => {
    const { checkpoints, guest, asked, dump } = world;
    await checkpoints.create(FIRST);
    assert.is((await rejection(checkpoints.create({ ...SECOND, id: 'first' }))).code, 'already_exists');
    guest.on('checkpointContainer', () => {
      throw new OffloadError('runtime_failed', 'checkpoint container web: CRIU: no');
    });
    assert.is((await rejection(checkpoints.create(SECOND))).message, 'checkpoint container web: CRIU: no');
    assert.equal(asked.at(-1), { call: 'resume', committed: false });
    guest.on('checkpointContainer', dump('dump'));
    const error = await rejection(checkpoints.create(SECOND));
    assert.is(
      error.message,
      'checkpoint container web on top of first: its changes are tracked since no checkpoint',
    );
    await checkpoints.create({ ...FIRST, id: 'again' });
    await checkpoints.create({ ...SECOND, parent: 'again' });
    await assertMemory(world, 'second');
  });
});

test('the parent is not removed while its child is being taken', async () => {
  await withWorld(async ({ checkpoints, guest, dump }) => {
    await checkpoints.create(FIRST);
    guest.on('checkpointContainer', async (body) => {
      const error = await rejection(checkpoints.remove('first'));
      assert.is(error.message, 'page store remove: checkpoint first is being read');
      return await dump('dump')(body);
    });
    await checkpoints.create(SECOND);
    await checkpoints.remove('first');
  });
});

test('one that ends its container is not tracked, and without soft-dirty none is, nor on top of another', async () => {
  await withWorld(async ({ checkpoints, guest, asked, containers }) => {
    Object.assign(guest.health, { tracksChanges: false });
    await checkpoints.create(FIRST);
    assert.is(asked[0]!.track, false);
    for (const wish of [{ parent: 'first' }, { preDumpRounds: 1 }]) {
      const error = await rejection(checkpoints.create({ ...FIRST, id: 'second', ...wish }));
      assert.is(error.code, 'invalid_state');
      assert.is(error.message, 'checkpoint container web: guest guest-a does not track which pages change');
    }
    assert.is(containers.get('web').phase, 'running');
    Object.assign(guest.health, { tracksChanges: true });
    await checkpoints.create({ ...FIRST, id: 'last', after: 'stop' });
    assert.is(asked.findLast(({ call }) => call === 'dump')!.track, false);
  });
});

test('pre-dumps build on each other, the dump on the last; what they were is not left beside the checkpoint', async () => {
  await withWorld(async (world) => {
    const { checkpoints, asked, ids, store } = world;
    const view = await checkpoints.create({ ...FIRST, preDumpRounds: 2 });
    assert.equal(asked, [
      { call: 'pre-dump', token: token(1) },
      { call: 'pre-dump', token: token(2), parent: token(1) },
      { call: 'dump', token: token(3), parent: token(2), track: true },
      { call: 'resume', committed: true },
    ]);
    assert.equal(
      view.transfers!.map(({ preDump, receivedBytes, frozenMs }) => ({ preDump, receivedBytes, frozenMs })),
      [
        { preDump: true, receivedBytes: DUMP.length, frozenMs: 2 },
        { preDump: true, receivedBytes: LATER_DUMP.length, frozenMs: 2 },
        { preDump: false, receivedBytes: LATER_DUMP.length, frozenMs: undefined },
      ],
    );
    assert.is(view.parent, undefined);
    assert.is(view.inheritedPageCount, 2);
    assert.is(
      view.sharedBytes,
      (DUMPED_PAGE_COUNT + 1) * PAGE,
      'of the second the page that came again as it was',
    );
    assert.ok(view.bytes + view.sharedBytes <= store.usedBytes);
    assert.equal(await ids(), ['first']);
    await assertMemory(world, 'first');
    await checkpoints.create({ ...SECOND, preDumpRounds: 1 });
    assert.equal(asked.at(-3), { call: 'pre-dump', token: token(4), parent: token(3) });
    await checkpoints.remove('first');
    await assertMemory(world, 'second');
  });
});

test('a pre-dump that fails leaves the container running, nothing in the store and nothing kept', async () => {
  for (const failing of ['preDumpContainer', 'checkpointContainer'] as const) {
    await withWorld(async ({ checkpoints, guest, asked, containers, dump, ids, store }) => {
      const take = dump(failing === 'preDumpContainer' ? 'pre-dump' : 'dump');
      guest.on(failing, (body) => {
        if (body.parent === undefined) return take(body);
        throw new OffloadError('runtime_failed', 'pre-dump container web: CRIU: no');
      });
      const error = await rejection(checkpoints.create({ ...FIRST, preDumpRounds: 2 }));
      assert.is(error.message, 'pre-dump container web: CRIU: no');
      assert.equal(asked.at(-1), { call: 'resume', committed: false });
      assert.is(containers.get('web').phase, 'running');
      assert.equal(await ids(), []);
      assert.is(store.usedBytes, 0);
    });
  }
});

test('a taken id and a full store are told before the container stands still', async () => {
  await withWorld(async ({ checkpoints, asked }) => {
    await checkpoints.create(FIRST);
    asked.length = 0;
    const error = await rejection(checkpoints.create({ ...FIRST, preDumpRounds: 1 }));
    assert.is(error.code, 'already_exists');
    assert.equal(asked, []);
  });
  await withWorld(
    async ({ checkpoints, asked, store }) => {
      const error = await rejection(checkpoints.create({ ...FIRST, preDumpRounds: 1 }));
      assert.is(error.code, 'no_space');
      assert.not(asked.some(({ call }) => call === 'dump'));
      assert.is(store.usedBytes, 0);
    },
    { quotaBytes: 4_096 },
  );
});

test('pre-dumps that a plane left are neither listed nor kept by the next one', async () => {
  await withWorld(async ({ checkpoints, store, ids }) => {
    await checkpoints.create(FIRST);
    await (await store.begin('second.pre-dump-1')).commit({ preDumpOf: 'second' });
    assert.equal(
      (await checkpoints.list()).map(({ id }) => id),
      ['first'],
    );
    await checkpoints.removeLeftovers();
    assert.equal(await ids(), ['first']);
  });
});

test.run();
