import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { encodeRanges, FrameType } from '../../../interconnect/page-protocol.ts';
import { FakePager } from './fake-pager.ts';
import { at, withServer } from './fixture.ts';

test('pages that were dropped and named are left out of what is expected', async () => {
  await withServer(async ({ reader, server, open }) => {
    const session = open();
    const pager = new FakePager(server);
    pager.hello(session.token);
    pager.credit(1000);
    pager.restored();
    session.startFill();
    await pager.frame(FrameType.END);
    const part = reader.memoryDigest([{ target: { kind: 'task', id: 42 }, vaddr: at(8), pageCount: 2 }]);
    pager.counters.memoryDigest = (pager.counters.memoryDigest - part) & ((1n << 64n) - 1n);
    pager.counters.dropped = 2;
    pager.send({ type: FrameType.MISSING }, encodeRanges([{ task: 42, vaddr: at(8), pageCount: 2 }]));
    pager.send({ type: FrameType.MISSING_END });
    pager.done();
    assert.ok((await session.done).memoryVerified);
  });
});

test('a wrong byte count or digest is not verified', async () => {
  await withServer(async ({ server, open }) => {
    const session = open({ policy: 'eager' });
    const pager = new FakePager(server);
    pager.hello(session.token);
    pager.credit(1000);
    await pager.frame(FrameType.END);
    pager.counters.filePages--;
    pager.done();
    assert.not.ok((await session.done).memoryVerified);
  });
});

test.run();
