/** Reads ahead of one who goes through stored pages: never far, one at a time, and never in the way. */
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type CheckpointFiles,
  closeCheckpointFiles,
  openCheckpointFiles,
} from '../../../offload-plane/page-store/checkpoint-files.ts';
import { realFileSystem } from '../../../offload-plane/page-store/file-system.ts';
import { ReadAhead } from '../../../offload-plane/page-store/read-ahead.ts';
import { HEAP, makeStore, PAGE, pages, TASK } from './fixture.ts';

const PAGE_COUNT = 6_000;

/** A checkpoint of 6,000 pages, and the reads of its pages file as [first page, page count]. */
async function withFiles(
  body: (files: CheckpointFiles, reads: [number, number][]) => Promise<void>,
  beforeRead: () => Promise<void> = async () => {},
): Promise<void> {
  const { store, directory, remove } = await makeStore();
  const writer = await store.begin('read');
  for (let at = 0; at < PAGE_COUNT; at += 200) {
    await writer.addPages(TASK, HEAP + BigInt(at * PAGE), true, pages(200, at + 1));
  }
  await writer.commit({});
  const files = await openCheckpointFiles(realFileSystem, join(directory, 'checkpoints/read'), 'read');
  const reads: [number, number][] = [];
  const file = files.pages.get(0)!;
  const real = file.read.bind(file) as (...args: unknown[]) => Promise<unknown>;
  file.read = (async (...args: [Buffer, number, number, number]) => {
    reads.push([args[3] / PAGE, args[2] / PAGE]);
    await beforeRead();
    return await real(...args);
  }) as never;
  try {
    await body(files, reads);
  } finally {
    await closeCheckpointFiles(files);
    await remove();
  }
}

test('it reads in order, one read at a time, and waits when it is far ahead', async () => {
  await withFiles(async (files, reads) => {
    const ahead = new ReadAhead(files);
    ahead.reached(64);
    ahead.reached(128);
    assert.equal(reads, [[64, 512]]);
    for (let i = 0; i < 10; i++) {
      await ahead.settle();
      ahead.reached(192);
    }
    assert.equal(
      reads,
      [64, 576, 1_088, 1_600, 2_112].map((first) => [first, 512]),
    );
  });
});

test('it begins anew after a jump, and ends with the pages', async () => {
  await withFiles(async (files, reads) => {
    const ahead = new ReadAhead(files);
    ahead.reached(4_000);
    await ahead.settle();
    ahead.reached(100);
    await ahead.settle();
    ahead.reached(5_900);
    await ahead.settle();
    ahead.reached(5_950);
    ahead.reached(6_000);
    assert.equal(reads, [
      [4_000, 512],
      [100, 512],
      [5_900, 100],
    ]);
  });
});

test('a read that fails harms nobody', async () => {
  const fail = () => Promise.reject(Object.assign(new Error('injected'), { code: 'EIO' }));
  await withFiles(async (files, reads) => {
    const ahead = new ReadAhead(files);
    ahead.reached(0);
    await ahead.settle();
    ahead.reached(64);
    await ahead.settle();
    assert.is(reads.length, 2);
  }, fail);
});

test.run();
