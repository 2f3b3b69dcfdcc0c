import { open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  closeCheckpointFiles,
  openCheckpointFiles,
} from '../../../offload-plane/page-store/checkpoint-files.ts';
import type { CheckpointManifest, PageStore } from '../../../offload-plane/page-store/contract.ts';
import { realFileSystem } from '../../../offload-plane/page-store/file-system.ts';
import { KnownPages } from '../../../offload-plane/page-store/known-pages.ts';
import { SharedFiles } from '../../../offload-plane/page-store/shared-files.ts';
import { openPageStore } from '../../../offload-plane/page-store/store.ts';
import { fails } from './fails.ts';
import { HEAP, HEAP_PAGES, heapBytes, makeStore, PAGE, pages, TASK, writeCheckpoint } from './fixture.ts';

async function write(store: PageStore, id: string, tenant: string | undefined, bytes: Buffer) {
  const writer = await store.begin(id, tenant === undefined ? {} : { tenant });
  for (let at = 0; at < bytes.length; at += 128 * PAGE) {
    await writer.addPages(TASK, HEAP + BigInt(at), true, bytes.subarray(at, at + 128 * PAGE));
  }
  return await writer.commit({});
}

const ownPages = ({ pageCount, zeroPageCount, sharedPageCount }: CheckpointManifest) =>
  pageCount - zeroPageCount - sharedPageCount;

async function read(store: PageStore, id: string, pageCount: number): Promise<Buffer> {
  const reader = await store.open(id);
  try {
    return await reader.readPages(TASK, HEAP, pageCount);
  } finally {
    await reader.close();
  }
}

test('pages that a checkpoint of the tenant has are not stored again, and come back as they were', async () => {
  const { store, directory, remove } = await makeStore();
  const first = await writeCheckpoint(store, 'a', { tenant: 't' });
  const usedBytes = store.usedBytes;
  const second = await writeCheckpoint(store, 'b', { tenant: 't' });
  assert.is(ownPages(first), first.pageCount - first.zeroPageCount);
  assert.is(ownPages(second), 0);
  assert.is((await stat(join(directory, 'checkpoints/b/pages'))).size, 0);
  assert.ok(store.usedBytes - usedBytes < usedBytes / 10, 'metadata only');
  assert.ok((await read(store, 'b', HEAP_PAGES)).equals(heapBytes()));
  assert.is(
    await store.open('a').then((reader) => reader.memoryDigest()),
    await store.open('b').then((reader) => reader.memoryDigest()),
  );
  await remove();
});

test('changed, moved and scattered pages are stored beside the shared ones', async () => {
  const { store, remove } = await makeStore();
  await write(store, 'a', 't', pages(400));
  const next = Buffer.concat([pages(100, 301), pages(300, 1)]); // the end comes first
  for (const page of [3, 50, 51, 399]) pages(1, 70_000 + page).copy(next, page * PAGE);
  assert.is(ownPages(await write(store, 'b', 't', next)), 4);
  assert.ok((await read(store, 'b', 400)).equals(next));
  const third = Buffer.concat([next.subarray(40 * PAGE, 60 * PAGE), pages(5, 90_000)]);
  assert.is(ownPages(await write(store, 'c', 't', third)), 5);
  assert.ok((await read(store, 'c', 25)).equals(third));
  await remove();
});

test('nothing is shared across tenants, nor without one', async () => {
  const { store, remove } = await makeStore();
  await write(store, 'a', 't', pages(100));
  await write(store, 'n', undefined, pages(100));
  for (const [id, tenant] of [
    ['b', 'other'],
    ['c', undefined],
  ] as const) {
    assert.is((await write(store, id, tenant, pages(100))).sharedPageCount, 0);
  }
  await fails('not_found', /no checkpoint a$/, () => store.begin('d', { tenant: 'other', parent: 'a' }));
  await fails('not_found', /no checkpoint a$/, () => store.begin('d', { parent: 'a' }));
  await fails('not_found', /no checkpoint z$/, () => store.begin('d', { tenant: 't', parent: 'z' }));
  await fails('invalid_request', /tenant "\.\."/, () => store.begin('d', { tenant: '..' }));
  await remove();
});

test('shared pages stay when the checkpoint that wrote them goes, and their room comes back with the last', async () => {
  const { store, directory, remove } = await makeStore();
  await write(store, 'a', 't', pages(300));
  await write(store, 'b', 't', pages(200));
  await write(store, 'c', 't', pages(100));
  const usedBytes = store.usedBytes;
  await store.remove('a');
  assert.ok(store.usedBytes > usedBytes - 20 * PAGE, 'b and c still need the pages');
  assert.ok((await read(store, 'b', 200)).equals(pages(200)));
  await store.close();
  const again = await openPageStore({ directory });
  assert.ok(again.usedBytes > 300 * PAGE, 'counted once, by whoever has it');
  assert.ok(again.usedBytes < 330 * PAGE);
  await again.remove('b');
  assert.ok((await read(again, 'c', 100)).equals(pages(100)));
  await again.remove('c');
  assert.is(again.usedBytes, 0);
  await again.close();
  await remove();
});

test('a checkpoint whose pages others share is evicted after them', async () => {
  const { store, remove } = await makeStore();
  await write(store, 'a', 't', pages(300));
  await write(store, 'b', 't', pages(300));
  await store.open('b').then((reader) => reader.close());
  assert.equal(await store.evict(1), ['b', 'a']);
  await remove();
});

test('a damaged page is not shared: the page is stored again', async () => {
  const { store, directory, remove } = await makeStore();
  await write(store, 'a', 't', pages(100));
  const file = await open(join(directory, 'checkpoints/a/pages'), 'r+');
  await file.write(Buffer.from([0xee]), 0, 1, 42 * PAGE + 7);
  await file.close();
  assert.is(ownPages(await write(store, 'b', 't', pages(100))), 1);
  assert.ok((await read(store, 'b', 100)).equals(pages(100)));
  await fails('corrupt_page', /page 0x7f000002a000/, () => read(store, 'a', 100));
  await remove();
});

test('pages with the same checksum and other bytes are told apart, and crafted checksums cost no time', async () => {
  const { store, directory, remove } = await makeStore();
  await write(store, 'a', 't', pages(300));
  const files = await openCheckpointFiles(realFileSystem, join(directory, 'checkpoints/a'), 'a');
  const honest = BigUint64Array.from(files.checksums);
  files.checksums.fill(42n); // as if every page had the checksum that the new ones have
  const shared = new SharedFiles(realFileSystem, directory);
  const known = new KnownPages([{ files, numbers: await shared.adopt(files) }], shared);
  const digests = new BigUint64Array(100).fill(42n);
  assert.is(known.find(digests, 0, pages(100, 5000), 0), undefined);
  const found = known.find(digests, 0, pages(100), 0);
  assert.is(found?.pageCount, 64, 'equal bytes are known, as far as one look goes');
  // All in one slot, each different: searched within a bound.
  for (let i = 0; i < 300; i++) files.checksums[i] = BigInt(i) << 32n;
  const crowded = new KnownPages([{ files, numbers: new Map() }], shared);
  assert.is(crowded.find(honest, 0, pages(1), 0), undefined);
  await closeCheckpointFiles(files);
  await remove();
});

test('an aborted checkpoint gives its links back', async () => {
  const { store, directory, remove } = await makeStore();
  await write(store, 'a', 't', pages(100));
  const path = join(directory, 'checkpoints/a/pages');
  const writer = await store.begin('b', { tenant: 't' });
  await writer.addPages(TASK, HEAP, true, pages(100));
  assert.is((await stat(path)).nlink, 2);
  await store.remove('a');
  await writer.commit({});
  assert.ok((await read(store, 'b', 100)).equals(pages(100)), 'removed while it was being shared');
  const other = await store.begin('c', { tenant: 't' });
  await other.abort();
  assert.is((await stat(join(directory, 'checkpoints/b/shared-1'))).nlink, 1);
  await remove();
});

test.run();
