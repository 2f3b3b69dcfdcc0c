import { setTimeout as delay } from 'node:timers/promises';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { encodeFrame, FrameType } from '../../../interconnect/page-protocol.ts';
import { createPageServer } from '../../../offload-plane/page-server/server.ts';
import { OffloadError } from '../../../platform/errors.ts';
import { rejection } from '../../helpers/rejection.ts';
import { until } from '../../helpers/until.ts';
import { HEAP, PAGE, withCheckpoint, ZERO_AT } from '../page-store/fixture.ts';
import { FakePager } from './fake-pager.ts';
import { at, connect, FILE_PAGE_COUNT, finish, logOf, withServer } from './fixture.ts';

test('a token opens one session, of one guest, once; every wrong one gets the same answer', async () => {
  await withServer(async ({ server, open }) => {
    const session = open();
    const texts = new Set<string>();
    for (const [token, guest] of [
      ['00'.repeat(32), 'g1'],
      [session.token, 'g2'],
    ] as const) {
      const pager = new FakePager(server, guest);
      pager.hello(token);
      await pager.frame(FrameType.ERROR);
      texts.add(pager.text);
    }
    const first = new FakePager(server);
    first.hello(session.token);
    await first.frame(FrameType.MAP_END);
    const second = new FakePager(server);
    second.hello(session.token);
    await second.frame(FrameType.ERROR);
    texts.add(second.text);
    assert.is(texts.size, 1);
  });
});

test('a pager of another version of the protocol is told so', async () => {
  const server = createPageServer();
  const pager = new FakePager(server);
  pager.send({ type: FrameType.HELLO, value: 1n }, Buffer.alloc(32));
  await pager.frame(FrameType.ERROR);
  assert.match(pager.text, /version 1 of the page protocol, this plane speaks 2/);
  await server.close();
});

test('credit bounds what is in flight, and a fault needs none', async () => {
  await withServer(async ({ server, open }) => {
    const session = open();
    const pager = new FakePager(server);
    pager.giveBack = false;
    pager.hello(session.token);
    pager.credit(FILE_PAGE_COUNT + 10);
    await pager.frame(FrameType.FILES_END);
    session.startFill();
    await until('fill', () => pager.counters.filled === 10);
    await delay(20);
    assert.is(pager.counters.filled, 10);
    pager.fault(42, at(200));
    await until('fault', () => pager.pages.has(`42:${at(200)}`));
    pager.giveBack = true;
    pager.credit(1000);
    pager.restored();
    assert.ok((await finish(session, pager)).memoryVerified);
  });
});

test('a pager that lost its connection resumes with what is missing', async () => {
  await withServer(async ({ server, open }) => {
    const session = open();
    const first = await connect(server, session);
    first.restored();
    first.fault(42, at(3));
    await until('fault', () => first.pages.size === 1);
    first.stream.destroy();
    await until('loss', () => session.state.phase === 'lost');
    const second = new FakePager(server);
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
    const result = await finish(session, second);
    assert.ok(result.memoryVerified);
    assert.is(result.duplicates, 0);
    assert.is(session.counters().resumeCount, 1);
  });
});

test('a lost pager that does not come back fails the session', async () => {
  await withServer(async ({ server, open }) => {
    const session = open({ record: true, deadlines: { resumeMs: 30 } });
    const pager = new FakePager(server);
    pager.hello(session.token);
    await pager.frame(FrameType.MAP_END);
    pager.stream.destroy();
    const error = await rejection(session.done);
    assert.is(error.code, 'guest_lost');
    assert.match(error.message, /did not come back within 30 ms/);
    assert.is(session.recording.phase, 'abandoned');
    const silent = open({ deadlines: { connectMs: 30 } });
    assert.match((await rejection(silent.done)).message, /did not connect within 30 ms/);
  });
});

test('several sessions at once on one checkpoint do not disturb each other', async () => {
  await withServer(async ({ reader, server, open }) => {
    const results = await Promise.all(
      (['lazy', 'ordered', 'prefill', 'eager'] as const).map(async (policy, i) => {
        const guest = `g${i}`;
        const orderLog = logOf(reader, [1, 2, 3, 250]);
        const session = open({ guest, policy, orderLog });
        const pager = await connect(server, session, 64);
        pager.restored();
        session.startFill();
        return await finish(session, pager);
      }),
    );
    assert.ok(results.every((result) => result.memoryVerified));
  });
});

test('a frame that breaks the rules ends the session with ABORT', async () => {
  await withServer(async ({ server, open }) => {
    const cases = [
      { header: { type: FrameType.FAULT, task: 42, vaddr: 0x1000n } as const, text: /not mapped/ },
      { header: { type: FrameType.FAULT, task: 42, vaddr: at(ZERO_AT) } as const, text: /not mapped/ },
      { header: { type: FrameType.PAGES } as const, text: /not a pager's to send/ },
      { header: { type: FrameType.STATUS } as const, text: /limit 80 bytes/ },
    ];
    for (const { header, text } of cases) {
      const session = open();
      const pager = await connect(server, session, 10);
      pager.send(header);
      const error = await rejection(session.done);
      assert.instance(error, OffloadError);
      assert.match(error.message, text);
      await pager.frame(FrameType.ABORT);
      assert.match(pager.text, text);
    }
  });
});

test('whatever bytes a guest sends, the server ends the session and stays whole', async () => {
  await withCheckpoint(async ({ reader }) => {
    await fc.assert(
      fc.asyncProperty(fc.boolean(), fc.uint8Array({ maxLength: 300 }), async (authorised, bytes) => {
        const server = createPageServer();
        const session = server.openSession({ guest: 'g1', reader, policy: 'lazy', record: false });
        const pager = new FakePager(server);
        if (authorised) pager.hello(session.token);
        pager.stream.write(Buffer.from(bytes));
        pager.stream.write(encodeFrame({ type: FrameType.MAP }));
        await delay(1);
        await server.close();
        assert.is(server.sessionCount, 0);
      }),
      { numRuns: 100 },
    );
  });
});

test('a pager that asks and does not read is refused before its answers fill the memory', async () => {
  await withServer(async ({ server, open }) => {
    const session = open({ queueBytes: PAGE });
    const pager = await connect(server, session);
    pager.restored();
    pager.stream.pause();
    for (let page = 0; page < 100; page++) pager.fault(42, at(page));
    const error = await rejection(session.done);
    assert.is(error.code, 'page_protocol_violation');
    assert.match(error.message, /^answer fault: \d+ bytes are unread, over the limit of 131072 bytes$/);
  });
});

test.run();
