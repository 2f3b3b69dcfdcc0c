import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { saveOrderLog } from '../../../offload-plane/order-log/load.ts';
import {
  type BatchReader,
  type CheckpointReader,
  type PageBytes,
  ZERO_PAGE,
} from '../../../offload-plane/page-store/contract.ts';
import { fails } from './fails.ts';
import { HEAP, heapBytes, makeStore, PAGE, pages, TASK, withCheckpoint, ZERO_AT } from './fixture.ts';

const MANY = 2000;

/** A checkpoint of many blocks, whose stored pages are numbered as its heap is. */
async function withMany(act: (reader: CheckpointReader, bytes: Buffer) => Promise<void>): Promise<void> {
  const { store, remove } = await makeStore();
  const writer = await store.begin('many');
  const bytes = pages(MANY);
  for (let from = 0; from < bytes.length; from += 200 * PAGE) {
    await writer.addPages(TASK, HEAP + BigInt(from), true, bytes.subarray(from, from + 200 * PAGE));
  }
  await writer.commit({});
  const reader = await store.open('many');
  await act(reader, bytes);
  await reader.close();
  await remove();
}

const read = (batches: BatchReader, numbers: readonly number[]) => batches.read(Uint32Array.from(numbers));
const upwards = (first: number, count: number) => Array.from({ length: count }, (_, i) => first + i);

function assertPages({ pieces }: PageBytes, numbers: readonly number[], bytes: Buffer): void {
  const came = Buffer.concat(pieces);
  assert.is(came.length, numbers.length * PAGE);
  numbers.forEach((page, i) => {
    const expected = page === ZERO_PAGE ? Buffer.alloc(PAGE) : bytes.subarray(page * PAGE, (page + 1) * PAGE);
    assert.ok(came.subarray(i * PAGE, (i + 1) * PAGE).equals(expected), `page ${page}`);
  });
}

test('pages that go upwards come from blocks, and stay as they are until they are released', async () => {
  await withMany(async (reader, bytes) => {
    const batches = reader.batches();
    const held: { came: PageBytes; numbers: number[] }[] = [];
    for (let first = 0; first < MANY; first += 64) {
      const numbers = upwards(first, Math.min(64, MANY - first)).filter((page) => page % 5 !== 0);
      held.push({ came: await read(batches, numbers), numbers });
      if (held.length < 12) continue;
      const { came, numbers: oldest } = held.shift()!;
      assertPages(came, oldest, bytes);
      came.release();
    }
    for (const { came, numbers } of held) assertPages(came, numbers, bytes);
  });
});

test('whatever pages are asked for, in whatever order, come in that order', async () => {
  await withMany(async (reader, bytes) => {
    const page = fc.oneof({ weight: 9, arbitrary: fc.nat(MANY - 1) }, fc.constant(ZERO_PAGE));
    const scattered = fc.array(page, { minLength: 1, maxLength: 64 });
    const together = fc
      .tuple(fc.nat(MANY - 1), fc.integer({ min: 1, max: 64 }))
      .map(([first, count]) => upwards(first, Math.min(count, MANY - first)));
    const requests = fc.array(fc.oneof(scattered, together), { maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(requests, async (asked) => {
        const batches = reader.batches();
        for (const numbers of asked) {
          const came = await read(batches, numbers);
          assertPages(came, numbers, bytes);
          came.release();
        }
      }),
      { numRuns: 50 },
    );
  });
});

test('pages that a load is about to bring are waited for, and come from memory', async () => {
  await withCheckpoint(async ({ reader, directory }) => {
    const entries = [250, 251, 3, 299].map((page) => ({
      task: 42,
      vaddr: HEAP + BigInt(page * PAGE),
      timeUs: 0,
    }));
    await saveOrderLog(reader, entries);
    const path = join(directory, 'checkpoints/warm/pages');
    const bytes = await readFile(path);
    await writeFile(path, Buffer.alloc(bytes.length, 1)); // only the working set has them now
    void reader.prefetch([]);
    const numbers = entries.map(({ vaddr }) => reader.storedPage(TASK, vaddr)!);
    const { pieces } = await read(reader.batches(), numbers);
    const heap = heapBytes();
    const expected = [250, 251, 3, 299].map((page) => heap.subarray(page * PAGE, (page + 1) * PAGE));
    assert.ok(Buffer.concat(pieces).equals(Buffer.concat(expected)));
    assert.is(pieces.length, 1, 'the working set is one piece');
    const other = reader.storedPage(TASK, HEAP + BigInt(7 * PAGE))!;
    await fails('corrupt_page', /task 42 page 0x7f0000007000/, () => read(reader.batches(), [other]));
    await fails('corrupt_page', /task 42 page 0x7f0000008000/, () =>
      read(reader.batches(), [other + 1, other]),
    );
    await writeFile(path, bytes);
  });
});

test('a zero page has no number, and a number has its segment', async () => {
  await withCheckpoint(async ({ reader }) => {
    assert.is(reader.storedPage(TASK, HEAP + BigInt(ZERO_AT * PAGE)), ZERO_PAGE);
    assert.is(reader.storedPage(TASK, 0x1000n), undefined);
    const number = reader.storedPage(TASK, HEAP + BigInt(299 * PAGE))!;
    const { vaddr, firstStoredPage } = reader.storedSegment(number);
    assert.is(vaddr + BigInt((number - firstStoredPage) * PAGE), HEAP + BigInt(299 * PAGE));
    await fails('not_found', /no stored page/, async () => reader.storedSegment(reader.storedPageCount));
  });
});

test.run();
