import { readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { saveOrderLog } from '../../../offload-plane/order-log/load.ts';
import type { CheckpointReader } from '../../../offload-plane/page-store/contract.ts';
import { workingSetTableBytes } from '../../../offload-plane/page-store/working-set-format.ts';
import { fails } from './fails.ts';
import {
  HEAP,
  heapBytes,
  makeStore,
  OTHER,
  PAGE,
  pages,
  readWorkingSet,
  TASK,
  withCheckpoint,
  writeCheckpoint,
  ZERO_AT,
} from './fixture.ts';

const at = (page: number) => HEAP + BigInt(page * PAGE);
const entry = (task: number, page: number) => ({ task, vaddr: at(page), timeUs: 0 });
/** Backwards and scattered, with zero pages in it and a second task. */
const ENTRIES = [
  ...[250, 251, 252, 7, 8, 3, ZERO_AT, ZERO_AT + 1, 299].map((page) => entry(42, page)),
  entry(43, 1),
  entry(42, 10),
];

/** Every page that comes, as `task page`, checked against what was written. */
async function drain(reader: CheckpointReader): Promise<string[] | undefined> {
  const found = await readWorkingSet(reader);
  return found?.map(({ name, bytes }) => {
    const [task, page] = name.split(' ').map(Number) as [number, number];
    const expected = task === 42 ? heapBytes() : pages(2, 2000);
    assert.ok(bytes.equals(expected.subarray(page * PAGE, (page + 1) * PAGE)), name);
    return name;
  });
}

const EXPECTED = ['42 250', '42 251', '42 252', '42 7', '42 8', '42 3', '42 299', '43 1', '42 10'];

test('the pages of an order log come in its order from one file, zero pages left out', async () => {
  await withCheckpoint(async ({ reader, directory, store }) => {
    assert.is(await drain(reader), undefined);
    const usedBytes = store.usedBytes;
    await saveOrderLog(reader, ENTRIES);
    assert.equal(await drain(reader), EXPECTED);
    const { size } = await stat(join(directory, 'checkpoints/warm/working-set'));
    assert.is(size, workingSetTableBytes(6) + 9 * PAGE);
    assert.ok(store.usedBytes >= usedBytes + size, 'it counts towards the quota');
  });
});

test('a working set of many blocks comes whole, and can be left early', async () => {
  const { store, remove } = await makeStore();
  const writer = await store.begin('c');
  const bytes = pages(2000);
  for (let from = 0; from < bytes.length; from += 200 * PAGE) {
    await writer.addPages(TASK, HEAP + BigInt(from), true, bytes.subarray(from, from + 200 * PAGE));
  }
  await writer.commit({});
  const reader = await store.open('c');
  const order = Array.from({ length: 2000 }, (_, i) => (i * 1237) % 2000);
  await reader.writeWorkingSet([
    { task: 42, vaddr: at(1000), pageCount: 700 },
    ...order.map((page) => ({ task: 42, vaddr: at(page), pageCount: 1 })),
  ]);
  const found = await readWorkingSet(reader);
  const expected = [...Array.from({ length: 700 }, (_, i) => 1000 + i), ...order];
  assert.equal(
    found!.map(({ name }) => name),
    expected.map((page) => `42 ${page}`),
  );
  found!.forEach((page, i) => {
    const at = expected[i]! * PAGE;
    assert.ok(page.bytes.equals(bytes.subarray(at, at + PAGE)), page.name);
  });
  for await (const _ of (await reader.readWorkingSet())!.blocks()) break;
  await remove();
});

test('a damaged page of it is read from where it lies; a damaged, foreign or cut file is not used', async () => {
  await withCheckpoint(async ({ reader, directory, store }) => {
    await saveOrderLog(reader, ENTRIES);
    const path = join(directory, 'checkpoints/warm/working-set');
    const bytes = await readFile(path);
    const table = workingSetTableBytes(6);
    const damaged = (change: (copy: Buffer) => void) => {
      const copy = Buffer.from(bytes);
      change(copy);
      return copy;
    };
    for (const right of [
      damaged((copy) => copy.fill(0, table, table + PAGE)),
      damaged((copy) => copy.copy(copy, table, table + PAGE, table + 2 * PAGE)),
      bytes.subarray(0, table + 3 * PAGE + 17),
    ]) {
      await writeFile(path, right);
      assert.equal(await drain(reader), EXPECTED);
    }
    for (const position of [0, 8, 12, 30, 60, 64, 75]) {
      await writeFile(
        path,
        damaged((copy) => {
          copy[position]! ^= 1;
        }),
      );
      assert.is(await drain(reader), undefined, `byte ${position}`);
    }
    await writeFile(path, bytes.subarray(0, 100));
    assert.is(await drain(reader), undefined);
    await writeCheckpoint(store, 'other', { tenant: 't' });
    await writeFile(join(directory, 'checkpoints/other/working-set'), bytes);
    const other = await store.open('other');
    if (other.manifest.digest !== reader.manifest.digest) assert.is(await drain(other), undefined);
  });
});

test('a page that is damaged everywhere is refused', async () => {
  await withCheckpoint(async ({ reader, directory }) => {
    await saveOrderLog(reader, ENTRIES);
    for (const name of ['working-set', 'pages']) {
      const path = join(directory, 'checkpoints/warm', name);
      const bytes = await readFile(path);
      await writeFile(path, bytes.fill(1, bytes.length > 100 * PAGE ? 0 : workingSetTableBytes(6)));
    }
    await fails('corrupt_page', /task 42 page 0x7f00000fa000/, () => drain(reader));
  });
});

test('a new order log takes the old working set with it, and one page that is none is refused', async () => {
  await withCheckpoint(async ({ reader }) => {
    await saveOrderLog(reader, ENTRIES);
    await reader.writeOrderLog(Buffer.from('another'));
    assert.is(await drain(reader), undefined);
    await fails('not_found', /no page at 0x1000/, () =>
      reader.writeWorkingSet([{ task: 42, vaddr: 0x1000n, pageCount: 1 }]),
    );
  });
});

test('once it is prefetched, every reader has the working set from memory, verified', async () => {
  await withCheckpoint(async ({ reader, store, directory }) => {
    await saveOrderLog(reader, ENTRIES);
    const other = await store.open('warm');
    const ranges = [{ target: TASK, vaddr: at(250), pageCount: 3 }];
    await Promise.all([reader.prefetch(ranges), other.prefetch(ranges)]);
    const path = join(directory, 'checkpoints/warm/pages');
    const bytes = await readFile(path);
    await writeFile(path, Buffer.alloc(bytes.length, 1)); // now only memory has them
    const into = Buffer.alloc(3 * PAGE);
    other.readIntoSync(TASK, at(250), 3, into);
    assert.ok(into.equals(heapBytes().subarray(250 * PAGE, 253 * PAGE)));
    assert.ok((await reader.readPages(OTHER, at(1), 1)).equals(pages(1, 2001)));
    await fails('corrupt_page', /0x7f00000fd000/, () => other.readPages(TASK, at(253), 1));
    await reader.close();
    await other.close();
    const late = await store.open('warm');
    await fails('corrupt_page', /0x7f00000fa000/, () => late.readPages(TASK, at(250), 1));
    await writeFile(path, bytes);
  });
});

test('without room there is an order log and no working set', async () => {
  const { store, directory, remove } = await makeStore({ quotaBytes: 1 << 21 });
  await writeCheckpoint(store, 'c');
  const filler = await store.begin('filler');
  await filler.reserve((1 << 21) - store.usedBytes - 5 * PAGE);
  const reader = await store.open('c');
  await saveOrderLog(reader, ENTRIES);
  assert.ok(await reader.readOrderLog());
  assert.is(await drain(reader), undefined);
  await fails('no_space', /pass the quota/, () =>
    reader.writeWorkingSet([{ task: 42, vaddr: at(0), pageCount: 9 }]),
  );
  await rm(join(directory, 'checkpoints/c/order'));
  await remove();
});

test.run();
