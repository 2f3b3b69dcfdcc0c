import { readdirSync, readlinkSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { loadOrderLog } from '../../../offload-plane/order-log/load.ts';
import type { PageStore } from '../../../offload-plane/page-store/contract.ts';
import { rejection } from '../../helpers/rejection.ts';
import { HEAP, makeStore, pages, type StoreFixture, TASK } from './fixture.ts';

async function withStore(body: (fixture: StoreFixture) => Promise<void>, keepOpenCount = 2): Promise<void> {
  const fixture = await makeStore({ keepOpenCount });
  try {
    for (const id of ['a', 'b', 'c']) await write(fixture.store, id);
    await body(fixture);
  } finally {
    await fixture.remove();
  }
}

async function write(store: PageStore, id: string): Promise<void> {
  const writer = await store.begin(id);
  await writer.addPages(TASK, HEAP, true, pages(8));
  await writer.commit({});
}

async function read(store: PageStore, id: string): Promise<object> {
  const reader = await store.open(id);
  try {
    assert.equal(await reader.readPages(TASK, HEAP, 8), pages(8));
    return reader.manifest;
  } finally {
    await reader.close();
  }
}

/** Checkpoints of which this process has a file with pages open. */
function openIds({ directory }: StoreFixture): string[] {
  const targets = readdirSync('/proc/self/fd').map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return ''; // the listing's own, closed by now
    }
  });
  const start = join(directory, 'checkpoints/');
  const ids = targets
    .filter((path) => path.startsWith(start))
    .map((path) => path.slice(start.length).split('/')[0]!);
  return [...new Set(ids)].sort();
}

test('a checkpoint stays open for its next reader, and those read last stay longest', async () => {
  await withStore(async (fixture) => {
    const { store } = fixture;
    const first = await read(store, 'a');
    assert.is(await read(store, 'a'), first, 'it was not read again');
    await read(store, 'b');
    await read(store, 'a');
    await read(store, 'c');
    assert.equal(openIds(fixture), ['a', 'c']);
  });
});

test('by default a checkpoint closes with its last reader', async () => {
  await withStore(async (fixture) => {
    await read(fixture.store, 'a');
    assert.equal(openIds(fixture), []);
  }, 0);
});

test('a checkpoint that is only kept open can be removed, and its files close', async () => {
  await withStore(async (fixture) => {
    await read(fixture.store, 'a');
    await fixture.store.remove('a');
    assert.equal(openIds(fixture), []);
    assert.is((await rejection(fixture.store.open('a'))).code, 'not_found');
    await write(fixture.store, 'a');
    await read(fixture.store, 'a');
  });
});

test('one that is only kept open can be evicted', async () => {
  await withStore(async (fixture) => {
    await read(fixture.store, 'a');
    assert.equal((await fixture.store.evict(0)).sort(), ['a', 'b', 'c']);
    assert.equal(openIds(fixture), []);
  });
});

test('a checkpoint whose manifest is gone is refused, however lately it was read', async () => {
  await withStore(async ({ store, directory }) => {
    await read(store, 'a');
    await rm(join(directory, 'checkpoints/a/manifest.json'));
    assert.is((await rejection(store.open('a'))).code, 'incomplete_checkpoint');
  });
});

test('trim closes what nobody reads, and only that', async () => {
  await withStore(async (fixture) => {
    await read(fixture.store, 'a');
    const reader = await fixture.store.open('b');
    await fixture.store.trim();
    assert.equal(openIds(fixture), ['b']);
    assert.equal(await reader.readPages(TASK, HEAP, 8), pages(8));
    await reader.close();
  });
});

test('the order log of a checkpoint that is kept open is the one that lies there now', async () => {
  await withStore(async ({ store, directory }) => {
    const reader = await store.open('a');
    assert.equal(await loadOrderLog(reader), { ignored: 'absent' });
    writeFileSync(join(directory, 'checkpoints/a/order'), 'no log');
    assert.equal(await loadOrderLog(reader), { ignored: 'corrupt' });
    await reader.close();
  });
});

test.run();
