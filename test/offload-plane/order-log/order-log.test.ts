import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { OrderEntry } from '../../../offload-plane/order-log/contract.ts';
import { decodeOrder, encodeOrder } from '../../../offload-plane/order-log/format.ts';
import { loadOrderLog, saveOrderLog } from '../../../offload-plane/order-log/load.ts';
import { mergeEntries, OrderRecorder } from '../../../offload-plane/order-log/recorder.ts';
import { toRuns } from '../../../offload-plane/order-log/runs.ts';
import { HEAP, PAGE, withCheckpoint } from '../page-store/fixture.ts';

const at = (page: number) => HEAP + BigInt(page * PAGE);
const entry = (page: number, timeUs = 0, task = 42): OrderEntry => ({ task, vaddr: at(page), timeUs });
const DIGEST = 'ab'.repeat(32);

test('only the first fault of a page is recorded, and no more than the limit', () => {
  const recorder = new OrderRecorder({ maxEntries: 2 });
  assert.ok(recorder.record(entry(5)));
  assert.not.ok(recorder.record(entry(5)));
  assert.ok(recorder.record(entry(4)));
  assert.not.ok(recorder.record(entry(3)));
  assert.equal(
    recorder.entries.map((e) => e.vaddr),
    [at(5), at(4)],
  );
});

test('pages join only when they are consecutive in the order and in the address', () => {
  const runs = toRuns([1, 2, 3, 9, 4, 5, 6].map((page) => entry(page)));
  assert.equal(
    runs.map((run) => [run.vaddr, run.pageCount]),
    [
      [at(1), 3],
      [at(9), 1],
      [at(4), 3],
    ],
  );
  assert.is(toRuns([entry(1), entry(2, 0, 43)]).length, 2);
  assert.is(toRuns([entry(2), entry(1)]).length, 2);
});

test('a run has at most 64 pages, and runs name the entries again in their order', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 200 })), (numbers) => {
      const pages = [...new Set(numbers)];
      const runs = toRuns(pages.map((page) => entry(page)));
      const expanded = runs.flatMap((run) =>
        Array.from({ length: run.pageCount }, (_, i) => run.vaddr + BigInt(i * PAGE)),
      );
      assert.equal(expanded, pages.map(at));
      assert.ok(runs.every((run) => run.pageCount <= 64));
    }),
  );
});

test('logs merge with each page where the first log has it', () => {
  const merged = mergeEntries([
    [entry(3), entry(1)],
    [entry(1), entry(2)],
  ]);
  assert.equal(
    merged.map((e) => e.vaddr),
    [at(3), at(1), at(2)],
  );
});

test('a log reads back as it was written, and damage shows', () => {
  const entries = [entry(3, 17), entry(1, 2 ** 40)];
  const bytes = encodeOrder(DIGEST, entries);
  assert.equal(decodeOrder(bytes), { digest: DIGEST, entries });
  for (let i = 0; i < bytes.length; i++) {
    const damaged = Buffer.from(bytes);
    damaged[i]! ^= 1;
    assert.is(decodeOrder(damaged), i >= 8 && i < 12 ? 'unknown_version' : 'corrupt');
  }
  assert.is(decodeOrder(bytes.subarray(0, 60)), 'corrupt');
  assert.is(decodeOrder(Buffer.alloc(0)), 'corrupt');
});

test('a time that a guest made up is no reason to fail: it is as late as can be', () => {
  const bytes = encodeOrder(DIGEST, [entry(3, Number(2n ** 64n - 1n))]);
  const decoded = decodeOrder(bytes);
  assert.ok(typeof decoded === 'object');
  assert.is(decoded.entries[0]?.timeUs, Number.MAX_SAFE_INTEGER);
});

test('a log is used only with the checkpoint it was recorded from', async () => {
  await withCheckpoint(async ({ reader }) => {
    assert.equal(await loadOrderLog(reader), { ignored: 'absent' });
    await saveOrderLog(reader, [entry(3), entry(4), entry(1)]);
    const loaded = await loadOrderLog(reader);
    assert.ok('log' in loaded);
    assert.is(loaded.log.runs.length, 2);
    assert.is(loaded.log.workingSet.pageCount, 3);
    assert.ok(loaded.log.workingSet.has(42, at(4)));
    assert.not.ok(loaded.log.workingSet.has(43, at(4)));
    await reader.writeOrderLog(encodeOrder(DIGEST, [entry(3)]));
    assert.equal(await loadOrderLog(reader), { ignored: 'foreign' });
    await saveOrderLog(reader, [entry(3), entry(100_000)]);
    assert.equal(await loadOrderLog(reader), { ignored: 'foreign' });
    await reader.writeOrderLog(Buffer.from('nonsense'));
    assert.equal(await loadOrderLog(reader), { ignored: 'corrupt' });
  });
});

test.run();
