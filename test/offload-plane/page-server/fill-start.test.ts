import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { FrameType, MAX_PAGES_PER_FRAME, PageFlag } from '../../../interconnect/page-protocol.ts';
import { loadOrderLog } from '../../../offload-plane/order-log/load.ts';
import { until } from '../../helpers/until.ts';
import { FakePager } from './fake-pager.ts';
import { at, connect, finish, withServer } from './fixture.ts';

test('recording keeps demand faults in their order, and a later restore uses them', async () => {
  await withServer(async ({ reader, server, open }) => {
    const session = open({ record: true, recordGraceMs: 20 });
    const pager = await connect(server, session);
    pager.restored();
    for (const [i, page] of [30, 31, 9, 30].entries()) pager.fault(42, at(page), i * 10);
    await until('faults', () => pager.pages.size === 3);
    await session.markFirstResponse();
    await until('log', () => session.recording.phase === 'written');
    await finish(session, pager);
    await session.close();
    const loaded = await loadOrderLog(reader);
    assert.ok('log' in loaded);
    assert.equal(loaded.log.runs, [
      { task: 42, vaddr: at(30), pageCount: 2 },
      { task: 42, vaddr: at(9), pageCount: 1 },
    ]);
  });
});

test('the fill starts by itself when faults dry up', async () => {
  await withServer(async ({ server, open }) => {
    const session = open({ faultsDryUpMs: 20 });
    const pager = new FakePager(server);
    pager.hello(session.token);
    pager.credit(1000);
    pager.restored();
    await pager.frame(FrameType.END);
    const frames = pager.arrivals.filter((a) => a.flags === PageFlag.FILL);
    assert.ok(frames.every((frame) => frame.pageCount <= MAX_PAGES_PER_FRAME));
    assert.ok(frames.length < 10, `${frames.length} frames`);
  });
});

test.run();
