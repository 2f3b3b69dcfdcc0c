import { setTimeout as delay } from 'node:timers/promises';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { FrameType, PageFlag } from '../../../interconnect/page-protocol.ts';
import { until } from '../../helpers/until.ts';
import { HEAP_PAGES, heapBytes, PAGE, pages, ZERO_AT, ZERO_PAGES } from '../page-store/fixture.ts';
import type { FakePager } from './fake-pager.ts';
import { at, connect, FILE_PAGE_COUNT, finish, logOf, withServer } from './fixture.ts';

const MAPPED = HEAP_PAGES - ZERO_PAGES + 2;

function assertHeapWhole(pager: FakePager): void {
  const heap = heapBytes();
  for (let page = 0; page < HEAP_PAGES; page++) {
    const arrived = pager.pages.get(`42:${at(page)}`);
    const zero = page >= ZERO_AT && page < ZERO_AT + ZERO_PAGES;
    assert.is(arrived === undefined, zero, `page ${page}`);
    if (arrived) assert.ok(arrived.equals(heap.subarray(page * PAGE, (page + 1) * PAGE)), `page ${page}`);
  }
}

test('lazy sends nothing unasked until the fill starts, then everything once, and the memory is verified', async () => {
  await withServer(async ({ reader, server, open }) => {
    const session = open();
    const pager = await connect(server, session);
    pager.restored();
    pager.fault(42, at(7), 100);
    pager.fault(42, at(250), 200);
    await until('faults', () => pager.pages.size === 2);
    await delay(20);
    assert.is(pager.pages.size, 2);
    session.startFill();
    const result = await finish(session, pager);
    assert.ok(result.memoryVerified);
    assert.is(result.installed, MAPPED);
    assert.is(result.duplicates, 0);
    assert.is(result.expectedDigest, reader.memoryDigest());
    assertHeapWhole(pager);
    assert.is(pager.arrivals.find((a) => a.type === FrameType.PAGES)?.flags, PageFlag.DEMAND);
    assert.is(session.counters().fillSent, MAPPED - 2);
    assert.is(pager.files.get(1)?.length, 2 * PAGE);
    assert.is(pager.counters.filePages, FILE_PAGE_COUNT);
    assert.is(server.sessionCount, 0);
  });
});

test('ordered pushes the working set in recorded order at once', async () => {
  await withServer(async ({ reader, server, open }) => {
    const orderLog = logOf(reader, [200, 201, 202, 5, 4, 299, ZERO_AT]);
    const session = open({ policy: 'ordered', orderLog });
    const pager = await connect(server, session);
    await until('push', () => pager.counters.pushed === 6);
    const pushed = pager.arrivals.filter((a) => a.type === FrameType.PAGES);
    assert.equal(
      pushed.map((a) => [a.vaddr, a.pageCount, a.flags]),
      [
        [at(200), 3, PageFlag.PUSH],
        [at(5), 1, PageFlag.PUSH],
        [at(4), 1, PageFlag.PUSH],
        [at(299), 1, PageFlag.PUSH],
      ],
    );
    pager.restored();
    const counters = await session.markFirstResponse();
    assert.is(counters.pushed, 6);
    const result = await finish(session, pager);
    assert.ok(result.memoryVerified);
    assert.is(result.effectivePolicy, 'ordered');
    assert.is(result.duplicates, 0);
  });
});

test('prefill puts the working set into the files of CRIU and leaves the rest to the pager', async () => {
  await withServer(async ({ reader, server, open }) => {
    const session = open({ policy: 'prefill', orderLog: logOf(reader, [10, 11, 50]) });
    const pager = await connect(server, session);
    assert.is(session.counters().filePageCount, FILE_PAGE_COUNT + 3);
    const heap = heapBytes();
    const task = pager.files.get(2)!;
    assert.ok(task.subarray(4 * PAGE, 6 * PAGE).equals(heap.subarray(10 * PAGE, 12 * PAGE)));
    assert.ok(task.subarray(6 * PAGE, 7 * PAGE).equals(heap.subarray(50 * PAGE, 51 * PAGE)));
    assert.not.ok(
      pager.map.some(
        (range) => range.vaddr <= at(10) && at(10) < range.vaddr + BigInt(range.pageCount * PAGE),
      ),
    );
    session.startFill();
    pager.restored();
    assert.ok((await finish(session, pager)).memoryVerified);
  });
});

test('scattered pages share frames, pushed or for the files of CRIU', async () => {
  await withServer(async ({ reader, server, open }) => {
    const orderLog = logOf(
      reader,
      Array.from({ length: 40 }, (_, i) => 290 - 2 * i),
    );
    for (const [policy, type] of [
      ['ordered', FrameType.PAGES],
      ['prefill', FrameType.FILE_PAGES],
    ] as const) {
      const session = open({ policy, orderLog });
      const pager = await connect(server, session);
      const pushedCount = policy === 'ordered' ? 40 : 0;
      await until('push', () => pager.counters.pushed === pushedCount);
      const frames = pager.seen.filter((header) => header.type === type);
      assert.ok(frames.length <= 3, `${frames.length} frames`);
      session.startFill();
      pager.restored();
      assert.ok((await finish(session, pager)).memoryVerified);
    }
  });
});

test('eager leaves nothing to the pager', async () => {
  await withServer(async ({ server, open }) => {
    const session = open({ policy: 'eager' });
    const pager = await connect(server, session);
    assert.is(session.counters().mappedPageCount, 0);
    const expected = Buffer.concat([pages(4, 1000), heapBytes()]);
    expected.fill(0, PAGE, 2 * PAGE);
    const zeroStart = (4 + ZERO_AT) * PAGE;
    const withoutZeros = Buffer.concat([
      expected.subarray(0, zeroStart),
      expected.subarray(zeroStart + ZERO_PAGES * PAGE),
    ]);
    assert.ok(pager.files.get(2)!.equals(withoutZeros));
    const result = await finish(session, pager);
    assert.ok(result.memoryVerified);
    assert.is((await session.markFirstResponse()).filePages, pager.counters.filePages);
  });
});

test('without an order log, ordered and prefill are lazy and say so', async () => {
  await withServer(async ({ reader, open }) => {
    for (const policy of ['ordered', 'prefill'] as const) {
      const foreign = { ...logOf(reader, [1]), digest: '0'.repeat(64) };
      for (const log of [{}, { orderLog: foreign }]) {
        const session = open({ policy, ...log });
        assert.is(session.effectivePolicy, 'lazy');
        await session.close();
      }
    }
  });
});

test.run();
