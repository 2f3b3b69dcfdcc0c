import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { PageStore } from '../../../offload-plane/page-store/contract.ts';
import { planEviction } from '../../../offload-plane/page-store/eviction.ts';
import { realFileSystem } from '../../../offload-plane/page-store/file-system.ts';
import { Ledger } from '../../../offload-plane/page-store/ledger.ts';
import { openPageStore } from '../../../offload-plane/page-store/store.ts';
import { fails } from './fails.ts';
import { HEAP, makeStore, PAGE, pages, TASK } from './fixture.ts';

const PAGES = 64;
/** A checkpoint of the size below takes its pages and less than this for everything else. */
const EXTRA_BYTES = 8 * 1024;

async function write(store: PageStore, id: string, options = {}): Promise<void> {
  const writer = await store.begin(id, options);
  await writer.addPages(TASK, HEAP, true, pages(PAGES, id.charCodeAt(0) * 1000));
  await writer.commit({});
}

const ids = async (store: PageStore) => (await store.list()).map(({ id }) => id).sort();
const roomFor = (count: number) => count * (PAGES * PAGE + EXTRA_BYTES);

async function touch(store: PageStore, id: string): Promise<void> {
  const reader = await store.open(id);
  await reader.readPages(TASK, HEAP, 1);
  await reader.close();
}

test('a reservation evicts what was not used for the longest time, and no more than it needs', async () => {
  const { store, remove } = await makeStore({ quotaBytes: roomFor(3) });
  for (const id of ['a', 'b', 'c']) await write(store, id);
  await touch(store, 'b');
  await touch(store, 'c');
  await touch(store, 'a');
  const writer = await store.begin('d');
  await writer.reserve(PAGES * PAGE);
  assert.equal(await ids(store), ['a', 'c']);
  await fails('not_found', /no checkpoint b/, () => store.open('b'));
  await writer.addPages(TASK, HEAP, true, pages(PAGES));
  await writer.commit({});
  assert.equal(await ids(store), ['a', 'c', 'd']);
  await remove();
});

test('the order of last use survives the store', async () => {
  const first = await makeStore({ quotaBytes: roomFor(3) });
  for (const id of ['a', 'b', 'c']) await write(first.store, id);
  for (const id of ['a', 'c', 'b']) await touch(first.store, id);
  await first.store.open('a').then((reader) => reader.close()); // a look at what it is is no use
  await first.store.close();
  const again = await openPageStore({ directory: first.directory, quotaBytes: roomFor(3) });
  assert.equal(await again.evict(roomFor(2)), ['a']);
  assert.equal(await again.evict(0), ['c', 'b']);
  assert.is(again.usedBytes, 0);
  await again.close();
  await first.remove();
});

test('a store that is closed while its device is slow has every use on record, the last one of each', async () => {
  const parked = Promise.withResolvers<void>();
  let useCount = 0;
  const utimes: typeof realFileSystem.utimes = async (...args) => {
    if (++useCount === 1) await parked.promise;
    return await realFileSystem.utimes(...args);
  };
  const first = await makeStore({ fileSystem: { ...realFileSystem, utimes } });
  for (const id of ['a', 'b']) await write(first.store, id);
  for (const id of ['a', 'b', 'a']) await touch(first.store, id);
  let isClosed = false;
  const closing = first.store.close().then(() => {
    isClosed = true;
  });
  // It has everything else behind it long before.
  for (const id of ['a', 'b']) await readdir(join(first.directory, 'checkpoints', id));
  assert.not(isClosed);
  parked.resolve();
  await closing;
  assert.is(useCount, 3);
  const again = await openPageStore({ directory: first.directory });
  assert.equal(await again.evict(0), ['b', 'a']);
  await again.close();
  await first.remove();
});

test('what is open or pinned is not evicted; a reservation that cannot be met says why and evicts nothing', async () => {
  const { store, directory, remove } = await makeStore({ quotaBytes: roomFor(3) });
  for (const id of ['a', 'b', 'c']) await write(store, id);
  await store.pin('a');
  const reader = await store.open('b');
  const usedBytes = store.usedBytes;
  const writer = await store.begin('d');
  const needed = 2 * PAGES * PAGE;
  await fails(
    'no_space',
    new RegExp(
      `reserve d: needs ${needed} bytes, ${roomFor(3) - usedBytes} bytes are free .* ${roomFor(3)} bytes`,
    ),
    () => writer.reserve(needed),
  );
  assert.equal(await ids(store), ['a', 'b', 'c']);
  assert.is(store.usedBytes, usedBytes);
  await fails('invalid_state', /a is pinned/, () => store.remove('a'));
  await store.close();
  const again = await openPageStore({ directory });
  assert.equal(await again.evict(0), ['b', 'c']);
  await again.unpin('a');
  assert.equal(await again.evict(0), ['a']);
  await again.close();
  await reader.close();
  await remove();
});

test('what was reserved is held until the writer ends, and what it did not need comes back', async () => {
  const { store, remove } = await makeStore({ quotaBytes: roomFor(4) });
  const writer = await store.begin('a');
  await writer.reserve(roomFor(3));
  assert.is(store.usedBytes, roomFor(3));
  const other = await store.begin('b');
  await fails('no_space', /reserve b: needs/, () => other.reserve(roomFor(2)));
  await writer.addPages(TASK, HEAP, true, pages(PAGES));
  await other.reserve(roomFor(1));
  await writer.commit({});
  await other.abort();
  assert.ok(store.usedBytes < roomFor(1));
  await remove();
});

test('opening and evicting at once: whoever has it open can read all of it', async () => {
  const { store, remove } = await makeStore();
  for (let round = 0; round < 20; round++) {
    for (const id of ['a', 'b', 'c', 'd']) await write(store, id);
    const opening = ['d', 'c', 'b', 'a'].map((id) => store.open(id).catch(() => undefined));
    const [evicted, twice] = await Promise.all([store.evict(0), store.evict(0)]);
    const open = (await Promise.all(opening)).filter((reader) => reader !== undefined);
    for (const reader of open) {
      assert.not([...evicted, ...twice].includes(reader.manifest.id));
      await reader.readPages(TASK, HEAP, PAGES);
      await reader.close();
    }
    assert.is(open.length + evicted.length + twice.length, 4);
    await store.evict(0);
    assert.is(store.usedBytes, 0);
  }
  await remove();
});

test('removing twice at once removes once', async () => {
  const { store, remove } = await makeStore();
  await write(store, 'a');
  const ends = await Promise.allSettled([store.remove('a'), store.remove('a')]);
  assert.equal(ends.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
  assert.match(
    String((ends.find(({ status }) => status === 'rejected') as PromiseRejectedResult).reason),
    /no checkpoint a/,
  );
  await remove();
});

test('without a quota the device is the limit', async () => {
  const { store, remove } = await makeStore();
  const writer = await store.begin('a');
  await fails('no_space', /reserve a: needs \d+ bytes, \d+ bytes are free of a limit of \d+ bytes/, () =>
    writer.reserve(2 ** 52),
  );
  await remove();
});

test('one whose pages others share is evicted after them, and frees what it has alone', () => {
  const ledger = new Ledger();
  ledger.set('parent', [{ inode: 1, bytes: 100, ownPages: true }]);
  ledger.set('child', [
    { inode: 1, bytes: 100, ownPages: false },
    { inode: 2, bytes: 10, ownPages: true },
  ]);
  ledger.set('other', [{ inode: 3, bytes: 50, ownPages: true }]);
  const used = (id: string, lastUsedMs: number) => ({ id, lastUsedMs });
  const all = [used('parent', 1), used('child', 2), used('other', 3)];
  assert.is(ledger.bytes, 160);
  assert.equal(planEviction(all, ledger, 155), { ids: ['child'], enough: true });
  assert.equal(planEviction(all, ledger, 60), { ids: ['child', 'parent'], enough: true });
  assert.equal(planEviction([used('parent', 1)], ledger, 0), { ids: [], enough: false });
  assert.is(ledger.bytes, 160, 'a plan changes nothing');
});

test.run();
