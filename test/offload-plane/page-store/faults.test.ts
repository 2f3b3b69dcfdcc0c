/** Every operation of a checkpoint's life that changes the device fails once, in turn. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { CheckpointReader, PageStore } from '../../../offload-plane/page-store/contract.ts';
import { openPageStore } from '../../../offload-plane/page-store/store.ts';
import { type ErrorCode, OffloadError } from '../../../platform/errors.ts';
import { type Fault, FaultyFiles } from './faulty-files.ts';
import {
  HEAP,
  HEAP_PAGES,
  heapBytes,
  makeStore,
  PAGE,
  pages,
  readWorkingSet,
  TASK,
  writeCheckpoint,
} from './fixture.ts';

const CODES: Record<Fault, ErrorCode> = { ENOSPC: 'no_space', EIO: 'internal', short: 'internal' };

/** A child with pages of its own, shared and inherited ones, an image and a file system diff. */
async function writeChild(store: PageStore): Promise<void> {
  const writer = await store.begin('child', { tenant: 't', parent: 'base' });
  try {
    await writer.reserve(1700 * PAGE);
    await writer.addPages(TASK, HEAP, true, pages(50, 9000));
    // Enough for extents to be written while pages still come, and known pages in between.
    for (let at = 0; at < 1536; at += 128) {
      await writer.addPages(TASK, HEAP + BigInt((4096 + at) * PAGE), true, pages(128, 20_000 + at));
    }
    await writer.addPages(TASK, HEAP + BigInt(16_384 * PAGE), true, heapBytes().subarray(0, 64 * PAGE));
    await writer.addImage('core-42.img', Buffer.from('core'));
    await writer.addRootfsDiff(Readable.from([Buffer.from('tar'), Buffer.from('ball')]));
    await writer.commit({});
  } catch (error) {
    await writer.abort();
    throw error;
  }
}

async function assertBase(store: PageStore): Promise<void> {
  const reader = await store.open('base');
  assert.ok((await reader.readPages(TASK, HEAP, HEAP_PAGES)).equals(heapBytes()));
  await reader.close();
}

async function assertChild(store: PageStore): Promise<void> {
  const reader = await store.open('child');
  const heap = heapBytes();
  pages(50, 9000).copy(heap);
  assert.ok((await reader.readPages(TASK, HEAP, HEAP_PAGES)).equals(heap));
  const known = await reader.readPages(TASK, HEAP + BigInt(16_384 * PAGE), 64);
  assert.ok(known.equals(heapBytes().subarray(0, 64 * PAGE)));
  await reader.close();
}

async function makeBase() {
  const files = new FaultyFiles();
  const fixture = await makeStore({ fileSystem: files.fileSystem });
  await writeCheckpoint(fixture.store, 'base', { tenant: 't' });
  return { ...fixture, files };
}

async function countSites(act: (store: PageStore) => Promise<void>): Promise<string[]> {
  const { store, files, remove } = await makeBase();
  const before = files.sites.length;
  await act(store);
  await remove();
  return files.sites.slice(before);
}

async function failure(act: () => Promise<void>): Promise<OffloadError | undefined> {
  try {
    await act();
    return undefined;
  } catch (error) {
    assert.instance(error, OffloadError, String((error as Error).stack));
    return error as OffloadError;
  }
}

for (const fault of ['ENOSPC', 'EIO', 'short'] as const) {
  test(`a checkpoint survives or goes without a trace when any one operation ends with ${fault}`, async () => {
    const sites = await countSites(writeChild);
    let failed = 0;
    for (let site = 0; site < sites.length; site++) {
      if (fault === 'short' && sites[site] !== 'write') continue;
      const { store, directory, files, remove } = await makeBase();
      const usedBytes = store.usedBytes;
      files.failAt(files.sites.length + site, fault);
      const error = await failure(() => writeChild(store));
      const where = `site ${site} (${sites[site]}): ${error?.message}`;
      assert.ok(files.hasFailed, where);
      if (error !== undefined) {
        failed++;
        assert.is(error.code, CODES[fault], where);
        assert.equal(await readdir(join(directory, 'incoming')), [], where);
        assert.equal(await readdir(join(directory, 'checkpoints')), ['base'], where);
        assert.is(store.usedBytes, usedBytes, where);
        await writeChild(store);
      }
      await assertBase(store);
      await assertChild(store);
      await store.remove('child');
      assert.is(store.usedBytes, usedBytes, where);
      await remove();
    }
    if (fault === 'short') assert.is(failed, 0, 'a short write is gone on with');
    else assert.ok(failed >= sites.length - 2, `${failed} of ${sites.length}: all but links have to fail`);
    console.log(`${fault}: ${sites.length} operations, ${failed} failures`);
  });
}

async function withBase(store: PageStore, act: (reader: CheckpointReader) => Promise<void>): Promise<void> {
  const reader = await store.open('base');
  try {
    await act(reader);
  } finally {
    await reader.close();
  }
}

test('a working set is there or not when any one operation of writing it fails, and its room comes back', async () => {
  const write = (store: PageStore) =>
    withBase(store, (reader) => reader.writeWorkingSet([{ task: 42, vaddr: HEAP, pageCount: 60 }]));
  const sites = await countSites(write);
  for (let site = 0; site < sites.length; site++) {
    const { store, directory, files, remove } = await makeBase();
    const usedBytes = store.usedBytes;
    files.failAt(files.sites.length + site, 'ENOSPC');
    assert.is((await failure(() => write(store)))?.code, 'no_space');
    const names = await readdir(join(directory, 'checkpoints/base'));
    assert.not(names.includes('working-set.tmp'));
    if (!names.includes('working-set')) assert.is(store.usedBytes, usedBytes);
    await assertBase(store);
    await write(store);
    await withBase(store, async (reader) => {
      const found = await readWorkingSet(reader);
      found!.forEach(({ bytes }, i) => {
        assert.ok(bytes.equals(heapBytes().subarray(i * PAGE, (i + 1) * PAGE)));
      });
    });
    await remove();
  }
});

test('an order log is the old one or the new one when any one operation of writing it fails', async () => {
  const write = (store: PageStore, text: string) =>
    withBase(store, (reader) => reader.writeOrderLog(Buffer.from(text)));
  const sites = await countSites((store) => write(store, 'new'));
  for (let site = 0; site < sites.length; site++) {
    const { store, directory, files, remove } = await makeBase();
    await write(store, 'old');
    files.failAt(files.sites.length + site, 'EIO');
    assert.is((await failure(() => write(store, 'new')))?.code, 'internal');
    const reader = await store.open('base');
    assert.match(String(await reader.readOrderLog()), /^(old|new)$/);
    await reader.close();
    const names = await readdir(join(directory, 'checkpoints/base'));
    assert.equal(
      names.filter((name) => name.endsWith('.tmp')),
      [],
    );
    await remove();
  }
});

test('a removal that fails leaves the checkpoint whole or takes it away', async () => {
  const sites = await countSites((store) => store.remove('base'));
  for (let site = 0; site < sites.length; site++) {
    const { store, directory, files, remove } = await makeBase();
    files.failAt(files.sites.length + site, 'EIO');
    assert.is((await failure(() => store.remove('base')))?.code, 'internal');
    const left = await readdir(join(directory, 'checkpoints'));
    if (left.length > 0) await assertBase(store);
    else assert.is(store.usedBytes, 0);
    assert.equal(await readdir(join(directory, 'incoming')), []);
    await store.close();
    const again = await openPageStore({ directory });
    assert.is((await again.list()).length, left.length);
    await again.close();
    await remove();
  }
});

test.run();
