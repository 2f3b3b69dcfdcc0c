import { mkdir, open, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ZERO_PAGE } from '../../../offload-plane/page-store/contract.ts';
import { openPageStore } from '../../../offload-plane/page-store/store.ts';
import { fails } from './fails.ts';
import {
  DATA,
  HEAP,
  HEAP_PAGES,
  heapBytes,
  makeStore,
  OTHER,
  PAGE,
  pages,
  SHMEM,
  TASK,
  withCheckpoint,
  writeCheckpoint,
  ZERO_AT,
} from './fixture.ts';

test('a committed checkpoint gives back every page as it was written', async () => {
  await withCheckpoint(async ({ reader }) => {
    assert.ok((await reader.readPages(TASK, HEAP, HEAP_PAGES)).equals(heapBytes()));
    const into = Buffer.alloc(3 * PAGE);
    reader.readIntoSync(OTHER, HEAP, 2, into, PAGE);
    assert.ok(into.subarray(PAGE).equals(pages(2, 2000)));
    assert.is(reader.pageDigest(TASK, 0x1000n), undefined);
    assert.is(reader.isZero(TASK, HEAP + BigInt(ZERO_AT * PAGE)), true);
    assert.equal(reader.imageFiles(), ['core-42.img']);
    assert.is(String(await reader.readImage('core-42.img')), 'core of 42');
  });
});

test('shared memory may have the id 0, as the first System V segment has', async () => {
  await withCheckpoint(async ({ store }) => {
    const writer = await store.begin('first');
    const target = { kind: 'shmem', id: 0 } as const;
    await writer.addPages(target, 0n, false, pages(2));
    await writer.commit({});
    const reader = await store.open('first');
    assert.equal(await reader.readPages(target, 0n, 2), pages(2));
    await reader.close();
  });
});

test('zero pages take no bytes and are counted', async () => {
  await withCheckpoint(async ({ reader, directory }) => {
    assert.is(reader.manifest.pageCount, 4 + HEAP_PAGES + 2 + 3);
    assert.is(reader.manifest.zeroPageCount, 1 + 20 + 1);
    const { size } = await stat(join(directory, 'checkpoints/warm/pages'));
    assert.is(size, (reader.manifest.pageCount - reader.manifest.zeroPageCount) * PAGE);
  });
});

test('a target without pages is kept', async () => {
  const { store, remove } = await makeStore();
  const writer = await store.begin('empty');
  writer.addTarget(SHMEM);
  await writer.commit({});
  const reader = await store.open('empty');
  assert.equal(reader.targets(), [SHMEM]);
  assert.is(reader.memoryDigest(), 0n);
  await remove();
});

test('an aborted checkpoint leaves nothing', async () => {
  const { store, directory, remove } = await makeStore();
  const writer = await store.begin('gone');
  await writer.addPages(TASK, HEAP, true, pages(10));
  assert.ok(store.usedBytes > 0);
  await writer.abort();
  await writer.abort();
  assert.equal(await readdir(join(directory, 'incoming')), []);
  assert.is(store.usedBytes, 0);
  await fails('invalid_state', /aborted/, () => writer.addPages(TASK, HEAP, true, pages(1)));
  await fails('not_found', /no checkpoint gone/, () => store.open('gone'));
  await remove();
});

test('a checkpoint that is being written cannot be opened', async () => {
  const { store, remove } = await makeStore();
  await store.begin('half');
  await fails('incomplete_checkpoint', /half.*no manifest/, () => store.open('half'));
  await fails('already_exists', /half/, () => store.begin('half'));
  await remove();
});

test('what a crash left in incoming is removed when the store opens', async () => {
  const { store, directory, remove } = await makeStore();
  await store.close();
  await mkdir(join(directory, 'incoming/crashed/images'), { recursive: true });
  await writeFile(join(directory, 'incoming/crashed/pages'), 'x');
  const again = await openPageStore({ directory });
  assert.is(again.leftoversRemoved, 1);
  assert.equal(await readdir(join(directory, 'incoming')), []);
  await again.close();
  await remove();
});

test('a checkpoint without a file says which one', async () => {
  const { store, directory, remove } = await makeStore();
  await writeCheckpoint(store, 'c');
  const path = (name: string) => join(directory, 'checkpoints/c', name);
  await rm(path('images/core-42.img'));
  await fails('incomplete_checkpoint', /images\/core-42\.img/, () => store.open('c'));
  await truncate(path('pages'), PAGE);
  await writeFile(path('images/core-42.img'), 'core of 42');
  await fails('incomplete_checkpoint', /pages of 4096 bytes, expected/, () => store.open('c'));
  await rm(path('manifest.json'));
  await fails('incomplete_checkpoint', /no manifest\.json/, () => store.open('c'));
  assert.equal(await store.list(), []);
  await remove();
});

test('a flipped byte is refused, naming the task and the address', async () => {
  const { store, directory, remove } = await makeStore();
  await writeCheckpoint(store, 'c');
  const file = await open(join(directory, 'checkpoints/c/pages'), 'r+');
  const position = (3 + 57) * PAGE + 123; // 3 stored pages of data, then the heap
  const byte = Buffer.alloc(1);
  await file.read(byte, 0, 1, position);
  await file.write(Buffer.from([byte[0]! ^ 1]), 0, 1, position);
  await file.close();
  const reader = await store.open('c');
  const named = new RegExp(`task 42 page 0x${(HEAP + 57n * 4096n).toString(16)}`);
  await fails('corrupt_page', named, () => reader.readPages(TASK, HEAP, 64));
  await fails('corrupt_page', named, () =>
    reader.readIntoSync(TASK, HEAP + 57n * 4096n, 1, Buffer.alloc(PAGE)),
  );
  assert.ok((await reader.readPages(TASK, HEAP + 58n * 4096n, 6)).equals(pages(6, 59)));
  await remove();
});

test('flipped bytes in index, checksums and images are refused', async () => {
  const { store, directory, remove } = await makeStore();
  await writeCheckpoint(store, 'c');
  for (const name of ['index', 'checksums']) {
    const path = join(directory, 'checkpoints/c', name);
    const bytes = await readFile(path);
    bytes[40]! ^= 1;
    await writeFile(path, bytes);
    await fails('digest_mismatch', new RegExp(name), () => store.open('c'));
    bytes[40]! ^= 1;
    await writeFile(path, bytes);
  }
  await writeFile(join(directory, 'checkpoints/c/images/core-42.img'), 'core of 43');
  const reader = await store.open('c');
  await fails('digest_mismatch', /core-42/, () => reader.readImage('core-42.img'));
  await remove();
});

test('an unknown format version is refused by name', async () => {
  const { store, directory, remove } = await makeStore();
  await writeCheckpoint(store, 'c');
  const path = join(directory, 'checkpoints/c/manifest.json');
  const manifest = JSON.parse(await readFile(path, 'utf8'));
  await writeFile(path, JSON.stringify({ ...manifest, formatVersion: 99 }));
  await fails('invalid_state', /format version 99, this program knows version 2/, () => store.open('c'));
  await remove();
});

test('the quota is named when pages pass it, and the checkpoint goes', async () => {
  const { store, directory, remove } = await makeStore({ quotaBytes: 100 * PAGE });
  const writer = await store.begin('big');
  await writer.addPages(TASK, HEAP, true, pages(90));
  await fails('no_space', /quota of 409600 bytes/, () =>
    writer.addPages(TASK, HEAP + 0x100000n, true, pages(20)),
  );
  await writer.abort();
  assert.equal(await readdir(join(directory, 'incoming')), []);
  assert.is(store.usedBytes, 0);
  await remove();
});

test('removing a checkpoint gives its bytes back, but not while it is read', async () => {
  const { store, remove } = await makeStore();
  const manifest = await writeCheckpoint(store, 'c');
  assert.ok(store.usedBytes >= manifest.storedBytes);
  const reader = await store.open('c');
  await fails('invalid_state', /being read/, () => store.remove('c'));
  await reader.close();
  await store.remove('c');
  assert.is(store.usedBytes, 0);
  await fails('not_found', /no checkpoint c/, () => store.remove('c'));
  await remove();
});

test('several readers share a checkpoint, and each closes on its own', async () => {
  const { store, remove } = await makeStore();
  await writeCheckpoint(store, 'c');
  const [a, b] = await Promise.all([store.open('c'), store.open('c')]);
  await a.close();
  await a.close();
  await fails('invalid_state', /closed/, () => a.readPages(TASK, HEAP, 1));
  assert.ok((await b.readPages(TASK, HEAP, 1)).equals(pages(1)));
  await remove();
});

test('pages that overlap are refused at the commit', async () => {
  const { store, directory, remove } = await makeStore();
  const writer = await store.begin('twice');
  await writer.addPages(TASK, HEAP, true, pages(4));
  await writer.addPages(TASK, HEAP + 4096n, true, pages(1));
  await fails('page_protocol_violation', /task 42 has page 0x7f0000001000 twice/, () => writer.commit({}));
  assert.equal(await readdir(join(directory, 'incoming')), []);
  await remove();
});

test('names and addresses that are none are refused', async () => {
  const { store, remove } = await makeStore();
  for (const id of ['', '..', 'a/b', '.hidden', 'x'.repeat(129)]) {
    await fails('invalid_request', /plain name/, () => store.begin(id));
  }
  const writer = await store.begin('c');
  await fails('invalid_request', /plain name/, () => writer.addImage('../x', Buffer.alloc(1)));
  await fails('page_protocol_violation', /no page address/, () => writer.addPages(TASK, 5n, true, pages(1)));
  await remove();
});

test('a file system diff streams in and out, and a source that stalls is given up', async () => {
  const { store, remove } = await makeStore({ limits: { maxRootfsDiffBytes: 1 << 20 } });
  const writer = await store.begin('c');
  await writer.addRootfsDiff(Readable.from([Buffer.from('tar'), Buffer.from('ball')]));
  await writer.commit({});
  const reader = await store.open('c');
  assert.is(String(await buffer(reader.openRootfsDiff()!)), 'tarball');
  const impatient = await makeStore({ limits: { sourceIdleMs: 50 } });
  const stalled = await impatient.store.begin('stalled');
  await fails('deadline_exceeded', /no byte for 50 ms/, () =>
    stalled.addRootfsDiff(new Readable({ read() {} })),
  );
  const large = await store.begin('large');
  await fails('no_space', /limit of 1048576 bytes/, () =>
    large.addRootfsDiff(Readable.from([Buffer.alloc(1 << 20), Buffer.alloc(1)])),
  );
  await impatient.remove();
  await remove();
});

test('digests of frames and of memory follow from the pages', async () => {
  await withCheckpoint(async ({ reader }) => {
    const whole = reader.memoryDigest();
    const parts = reader
      .segments()
      .map((s) => reader.memoryDigest([{ target: s, vaddr: s.vaddr, pageCount: s.pageCount }]));
    assert.is(
      parts.reduce((sum, part) => (sum + part) & ((1n << 64n) - 1n), 0n),
      whole,
    );
    await reader.prepareMemoryDigest();
    assert.is(reader.memoryDigest(), whole);
    assert.equal(
      reader
        .segments()
        .map((s) => reader.memoryDigest([{ target: s, vaddr: s.vaddr, pageCount: s.pageCount }])),
      parts,
    );
    const first = reader.storedPage(TASK, DATA)!;
    assert.is.not(
      reader.frameDigest(Uint32Array.of(first, ZERO_PAGE)),
      reader.frameDigest(Uint32Array.of(first, first)),
    );
    await reader.prefetch([{ target: TASK, vaddr: HEAP, pageCount: 64 }]);
  });
});

test.run();
