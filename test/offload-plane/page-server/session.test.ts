import { setTimeout as delay } from 'node:timers/promises';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  encodeFrame,
  FrameType,
  MAX_PAGES_PER_FRAME,
  PageFlag,
} from '../../../interconnect/page-protocol.ts';
import type { OrderLog } from '../../../offload-plane/order-log/contract.ts';
import { loadOrderLog, toOrderLog } from '../../../offload-plane/order-log/load.ts';
import type { PageSession, SessionOptions } from '../../../offload-plane/page-server/contract.ts';
import { createPageServer } from '../../../offload-plane/page-server/server.ts';
import type { CheckpointReader } from '../../../offload-plane/page-store/contract.ts';
import { pollUntil } from '../../../platform/deadline.ts';
import { OffloadError } from '../../../platform/errors.ts';
import { rejection } from '../../helpers/rejection.ts';
import {
  HEAP,
  HEAP_PAGES,
  heapBytes,
  PAGE,
  pages,
  withCheckpoint,
  ZERO_AT,
  ZERO_PAGES,
} from '../page-store/fixture.ts';
import { FakePager } from './fake-pager.ts';

const MAPPED = HEAP_PAGES - ZERO_PAGES + 2;
/** data (zero page included) and the shared memory's two pages with content */
const FILE = 4 + 2;
const LAZY_DRY_UP_MS = 60_000;
const at = (page: number) => HEAP + BigInt(page * PAGE);

const server = createPageServer();

function open(reader: CheckpointReader, options: Partial<SessionOptions> = {}): PageSession {
  return server.openSession({
    guest: 'g1',
    reader,
    policy: 'lazy',
    record: false,
    faultsDryUpMs: LAZY_DRY_UP_MS,
    ...options,
  });
}

function logOf(reader: CheckpointReader, pageNumbers: number[]): OrderLog {
  return toOrderLog(
    reader,
    pageNumbers.map((page, i) => ({ task: 42, vaddr: at(page), timeUs: i })),
  )!;
}

async function connect(session: PageSession, creditPages = 1024): Promise<FakePager> {
  const pager = new FakePager(server);
  pager.hello(session.token);
  pager.credit(creditPages);
  await pager.frame(FrameType.FILES_END);
  return pager;
}

async function finish(session: PageSession, pager: FakePager) {
  await pager.frame(FrameType.END);
  pager.done();
  return await session.done;
}

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
  await withCheckpoint(async ({ reader }) => {
    const session = open(reader);
    const pager = await connect(session);
    pager.restored();
    pager.fault(42, at(7), 100);
    pager.fault(42, at(250), 200);
    await pollUntil(() => (pager.pages.size === 2 ? true : undefined), {
      timeoutMs: 2000,
      intervalMs: 2,
      what: 'faults',
    });
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
    assert.is(pager.counters.filePages, FILE);
    assert.is(server.sessionCount, 0);
  });
});

test('ordered pushes the working set in recorded order at once', async () => {
  await withCheckpoint(async ({ reader }) => {
    const orderLog = logOf(reader, [200, 201, 202, 5, 4, 299, ZERO_AT]);
    const session = open(reader, { policy: 'ordered', orderLog });
    const pager = await connect(session);
    await pollUntil(() => (pager.counters.pushed === 6 ? true : undefined), {
      timeoutMs: 2000,
      intervalMs: 2,
      what: 'push',
    });
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
  await withCheckpoint(async ({ reader }) => {
    const session = open(reader, { policy: 'prefill', orderLog: logOf(reader, [10, 11, 50]) });
    const pager = await connect(session);
    assert.is(session.counters().filePageCount, FILE + 3);
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
  await withCheckpoint(async ({ reader }) => {
    const orderLog = logOf(
      reader,
      Array.from({ length: 40 }, (_, i) => 290 - 2 * i),
    );
    for (const [policy, type] of [
      ['ordered', FrameType.PAGES],
      ['prefill', FrameType.FILE_PAGES],
    ] as const) {
      const session = open(reader, { policy, orderLog });
      const pager = await connect(session);
      const pushedCount = policy === 'ordered' ? 40 : 0;
      await pollUntil(() => (pager.counters.pushed === pushedCount ? true : undefined), {
        timeoutMs: 2000,
        intervalMs: 2,
        what: 'push',
      });
      const frames = pager.seen.filter((header) => header.type === type);
      assert.ok(frames.length <= 3, `${frames.length} frames`);
      session.startFill();
      pager.restored();
      assert.ok((await finish(session, pager)).memoryVerified);
    }
  });
});

test('a pager of another version of the protocol is told so', async () => {
  const local = createPageServer();
  const pager = new FakePager(local);
  pager.send({ type: FrameType.HELLO, value: 1n }, Buffer.alloc(32));
  await pager.frame(FrameType.ERROR);
  assert.match(pager.text, /version 1 of the page protocol, this plane speaks 2/);
  await local.close();
});

test('eager leaves nothing to the pager', async () => {
  await withCheckpoint(async ({ reader }) => {
    const session = open(reader, { policy: 'eager' });
    const pager = await connect(session);
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
  await withCheckpoint(async ({ reader }) => {
    for (const policy of ['ordered', 'prefill'] as const) {
      const foreign = { ...logOf(reader, [1]), digest: '0'.repeat(64) };
      for (const log of [{}, { orderLog: foreign }]) {
        const session = open(reader, { policy, ...log });
        assert.is(session.effectivePolicy, 'lazy');
        await session.close();
      }
    }
  });
});

test('credit bounds what is in flight, and a fault needs none', async () => {
  await withCheckpoint(async ({ reader }) => {
    const local = createPageServer();
    const session = local.openSession({ guest: 'g1', reader, policy: 'lazy', record: false });
    const pager = new FakePager(local);
    pager.giveBack = false;
    pager.hello(session.token);
    pager.credit(FILE + 10);
    await pager.frame(FrameType.FILES_END);
    session.startFill();
    await pollUntil(() => (pager.counters.filled === 10 ? true : undefined), {
      timeoutMs: 2000,
      intervalMs: 2,
      what: 'fill',
    });
    await delay(20);
    assert.is(pager.counters.filled, 10);
    pager.fault(42, at(200));
    await pollUntil(() => (pager.pages.has(`42:${at(200)}`) ? true : undefined), {
      timeoutMs: 2000,
      intervalMs: 2,
      what: 'fault',
    });
    pager.giveBack = true;
    pager.credit(1000);
    pager.restored();
    assert.ok((await finish(session, pager)).memoryVerified);
    await local.close();
  });
});

test('a token opens one session, of one guest, once; every wrong one gets the same answer', async () => {
  await withCheckpoint(async ({ reader }) => {
    const local = createPageServer();
    const session = local.openSession({ guest: 'g1', reader, policy: 'lazy', record: false });
    const texts = new Set<string>();
    for (const [token, guest] of [
      ['00'.repeat(32), 'g1'],
      [session.token, 'g2'],
    ] as const) {
      const pager = new FakePager(local, guest);
      pager.hello(token);
      await pager.frame(FrameType.ERROR);
      texts.add(pager.text);
    }
    const first = new FakePager(local);
    first.hello(session.token);
    await first.frame(FrameType.MAP_END);
    const second = new FakePager(local);
    second.hello(session.token);
    await second.frame(FrameType.ERROR);
    texts.add(second.text);
    assert.is(texts.size, 1);
    await local.close();
  });
});

test('a pager that lost its connection resumes with what is missing', async () => {
  await withCheckpoint(async ({ reader }) => {
    const local = createPageServer();
    const session = local.openSession({
      guest: 'g1',
      reader,
      policy: 'lazy',
      record: false,
      faultsDryUpMs: 60_000,
    });
    const first = new FakePager(local);
    first.hello(session.token);
    first.credit(1000);
    await first.frame(FrameType.FILES_END);
    first.restored();
    first.fault(42, at(3));
    await pollUntil(() => (first.pages.size === 1 ? true : undefined), {
      timeoutMs: 2000,
      intervalMs: 2,
      what: 'fault',
    });
    first.stream.destroy();
    await pollUntil(() => (session.state.phase === 'lost' ? true : undefined), {
      timeoutMs: 2000,
      intervalMs: 2,
      what: 'loss',
    });
    const second = new FakePager(local);
    Object.assign(second.counters, first.counters);
    second.pages.set(`42:${at(3)}`, Buffer.alloc(0));
    const missing = first.map.flatMap((range) =>
      range.vaddr === HEAP && range.task === 42
        ? [
            { ...range, pageCount: 3 },
            { ...range, vaddr: at(4), pageCount: range.pageCount - 4 },
          ]
        : [range],
    );
    second.resume(session.token, missing);
    second.credit(1000);
    second.restored();
    second.fault(42, at(4));
    session.startFill();
    await second.frame(FrameType.END);
    second.done();
    const result = await session.done;
    assert.ok(result.memoryVerified);
    assert.is(result.duplicates, 0);
    assert.is(session.counters().resumeCount, 1);
    await local.close();
  });
});

test('a lost pager that does not come back fails the session', async () => {
  await withCheckpoint(async ({ reader }) => {
    const local = createPageServer();
    const deadlines = { resumeMs: 30, connectMs: 30 };
    const session = local.openSession({ guest: 'g1', reader, policy: 'lazy', record: true, deadlines });
    const pager = new FakePager(local);
    pager.hello(session.token);
    await pager.frame(FrameType.MAP_END);
    pager.stream.destroy();
    const error = await rejection(session.done);
    assert.is(error.code, 'guest_lost');
    assert.match(error.message, /did not come back within 30 ms/);
    assert.is(session.recording.phase, 'abandoned');
    const silent = local.openSession({ guest: 'g1', reader, policy: 'lazy', record: false, deadlines });
    assert.match((await rejection(silent.done)).message, /did not connect within 30 ms/);
    await local.close();
  });
});

test('recording keeps demand faults in their order, and a later restore uses them', async () => {
  await withCheckpoint(async ({ reader }) => {
    const local = createPageServer();
    const session = local.openSession({
      guest: 'g1',
      reader,
      policy: 'lazy',
      record: true,
      recordGraceMs: 20,
      faultsDryUpMs: 60_000,
    });
    const pager = new FakePager(local);
    pager.hello(session.token);
    pager.credit(1000);
    await pager.frame(FrameType.FILES_END);
    pager.restored();
    for (const [i, page] of [30, 31, 9, 30].entries()) pager.fault(42, at(page), i * 10);
    await pollUntil(() => (pager.pages.size === 3 ? true : undefined), {
      timeoutMs: 2000,
      intervalMs: 2,
      what: 'faults',
    });
    await session.markFirstResponse();
    await pollUntil(() => (session.recording.phase === 'written' ? true : undefined), {
      timeoutMs: 2000,
      intervalMs: 2,
      what: 'log',
    });
    await pager.frame(FrameType.END);
    pager.done();
    await session.done;
    await session.close();
    const loaded = await loadOrderLog(reader);
    assert.ok('log' in loaded);
    assert.equal(loaded.log.runs, [
      { task: 42, vaddr: at(30), pageCount: 2 },
      { task: 42, vaddr: at(9), pageCount: 1 },
    ]);
    await local.close();
  });
});

test('the fill starts by itself when faults dry up', async () => {
  await withCheckpoint(async ({ reader }) => {
    const local = createPageServer();
    const session = local.openSession({
      guest: 'g1',
      reader,
      policy: 'lazy',
      record: false,
      faultsDryUpMs: 20,
    });
    const pager = new FakePager(local);
    pager.hello(session.token);
    pager.credit(1000);
    pager.restored();
    await pager.frame(FrameType.END);
    const frames = pager.arrivals.filter((a) => a.flags === PageFlag.FILL);
    assert.ok(frames.every((frame) => frame.pageCount <= MAX_PAGES_PER_FRAME));
    assert.ok(frames.length < 10, `${frames.length} frames`);
    await local.close();
  });
});

test('pages that were dropped and named are left out of what is expected', async () => {
  await withCheckpoint(async ({ reader }) => {
    const local = createPageServer();
    const session = local.openSession({ guest: 'g1', reader, policy: 'lazy', record: false });
    const pager = new FakePager(local);
    pager.hello(session.token);
    pager.credit(1000);
    pager.restored();
    session.startFill();
    await pager.frame(FrameType.END);
    const part = reader.memoryDigest([{ target: { kind: 'task', id: 42 }, vaddr: at(8), pageCount: 2 }]);
    pager.counters.memoryDigest = (pager.counters.memoryDigest - part) & ((1n << 64n) - 1n);
    pager.counters.dropped = 2;
    const { encodeRanges } = await import('../../../interconnect/page-protocol.ts');
    pager.send({ type: FrameType.MISSING }, encodeRanges([{ task: 42, vaddr: at(8), pageCount: 2 }]));
    pager.send({ type: FrameType.MISSING_END });
    pager.done();
    assert.ok((await session.done).memoryVerified);
    await local.close();
  });
});

test('a wrong byte count or digest is not verified', async () => {
  await withCheckpoint(async ({ reader }) => {
    const local = createPageServer();
    const session = local.openSession({ guest: 'g1', reader, policy: 'eager', record: false });
    const pager = new FakePager(local);
    pager.hello(session.token);
    pager.credit(1000);
    await pager.frame(FrameType.END);
    pager.counters.filePages--;
    pager.done();
    assert.not.ok((await session.done).memoryVerified);
    await local.close();
  });
});

test('several sessions at once on one checkpoint do not disturb each other', async () => {
  await withCheckpoint(async ({ reader }) => {
    const local = createPageServer();
    const results = await Promise.all(
      (['lazy', 'ordered', 'prefill', 'eager'] as const).map(async (policy, i) => {
        const guest = `g${i}`;
        const orderLog = logOf(reader, [1, 2, 3, 250]);
        const session = local.openSession({ guest, reader, policy, orderLog, record: false });
        const pager = new FakePager(local, guest);
        pager.hello(session.token);
        pager.credit(64);
        await pager.frame(FrameType.FILES_END);
        pager.restored();
        session.startFill();
        await pager.frame(FrameType.END);
        pager.done();
        return await session.done;
      }),
    );
    assert.ok(results.every((result) => result.memoryVerified));
    await local.close();
  });
});

test('a frame that breaks the rules ends the session with ABORT', async () => {
  await withCheckpoint(async ({ reader }) => {
    const cases = [
      { header: { type: FrameType.FAULT, task: 42, vaddr: 0x1000n } as const, text: /not mapped/ },
      { header: { type: FrameType.FAULT, task: 42, vaddr: at(ZERO_AT) } as const, text: /not mapped/ },
      { header: { type: FrameType.PAGES } as const, text: /not a pager's to send/ },
      { header: { type: FrameType.STATUS } as const, text: /limit 80 bytes/ },
    ];
    for (const { header, text } of cases) {
      const local = createPageServer();
      const session = local.openSession({ guest: 'g1', reader, policy: 'lazy', record: false });
      const pager = new FakePager(local);
      pager.hello(session.token);
      pager.credit(10);
      await pager.frame(FrameType.FILES_END);
      pager.send(header);
      const error = await rejection(session.done);
      assert.instance(error, OffloadError);
      assert.match(error.message, text);
      await pager.frame(FrameType.ABORT);
      assert.match(pager.text, text);
      await local.close();
    }
  });
});

test('whatever bytes a guest sends, the server ends the session and stays whole', async () => {
  await withCheckpoint(async ({ reader }) => {
    await fc.assert(
      fc.asyncProperty(fc.boolean(), fc.uint8Array({ maxLength: 300 }), async (authorised, bytes) => {
        const local = createPageServer();
        const session = local.openSession({ guest: 'g1', reader, policy: 'lazy', record: false });
        const pager = new FakePager(local);
        if (authorised) pager.hello(session.token);
        pager.stream.write(Buffer.from(bytes));
        pager.stream.write(encodeFrame({ type: FrameType.MAP }));
        await delay(1);
        await local.close();
        assert.is(local.sessionCount, 0);
      }),
      { numRuns: 100 },
    );
  });
});

test('a pager that asks and does not read is refused before its answers fill the memory', async () => {
  await withCheckpoint(async ({ reader }) => {
    const session = open(reader, { queueBytes: PAGE });
    const pager = await connect(session);
    pager.restored();
    pager.stream.pause();
    for (let page = 0; page < 100; page++) pager.fault(42, at(page));
    const error = await rejection(session.done);
    assert.is(error.code, 'page_protocol_violation');
    assert.match(error.message, /^answer fault: \d+ bytes are unread, over the limit of 131072 bytes$/);
  });
});

test.run();
