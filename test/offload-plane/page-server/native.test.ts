/** Real CRIU dumps into the store and restores from it, by its own lazy-pages and by our pager. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { FrameType } from '../../../interconnect/page-protocol.ts';
import type { OrderLog } from '../../../offload-plane/order-log/contract.ts';
import { loadOrderLog } from '../../../offload-plane/order-log/load.ts';
import type { Policy, SessionResult } from '../../../offload-plane/page-server/contract.ts';
import { serveCriuGet } from '../../../offload-plane/page-server/criu-get.ts';
import { createPageServer } from '../../../offload-plane/page-server/server.ts';
import { withDeadline } from '../../../platform/deadline.ts';
import { restoreHeap, STEP_MS } from '../../helpers/criu-heap.ts';
import { criuMissing, criuTest } from '../../helpers/criu-test.ts';
import {
  checkpointIntoStore,
  type HeapCheckpoint,
  listen,
  serveOnce,
  startRestore,
  writeImages,
} from '../../helpers/native-restore.ts';
import { buildPrograms } from '../../helpers/pager-program.ts';
import { test } from '../../helpers/suite.ts';
import { FakePager } from './fake-pager.ts';

const HEAP_MIB = 48;
const THREAD_COUNT = 2;

let checkpoint: HeapCheckpoint;

test.before(async () => {
  if (criuMissing !== '') return;
  await buildPrograms();
});

test.after(() => checkpoint?.remove());

criuTest('a dump by CRIU arrives in the store over its page-server wire', async () => {
  checkpoint = await checkpointIntoStore(HEAP_MIB, THREAD_COUNT);
  const { manifest } = checkpoint.reader;
  console.log(`dumped ${manifest.pageCount} pages (${manifest.zeroPageCount} zero)`);
  assert.ok(
    manifest.pageCount >= (HEAP_MIB * 256 * 15) / 16,
    'every 16th page of the heap was never touched',
  );
});

criuTest(
  'a stock criu lazy-pages restores from the page server, and the program finds every word',
  async () => {
    const { reader } = checkpoint;
    const pages = createPageServer();
    const session = pages.openSession({ guest: 'g', reader, policy: 'lazy', record: false });
    const directory = join(checkpoint.directory, 'stock');
    mkdirSync(directory);
    await writeImages(directory, reader, await session.pagemapImages());
    const files = new FakePager(pages, 'g');
    files.hello(session.token);
    files.credit(1 << 20);
    await files.frame(FrameType.FILES_END);
    for (const [id, bytes] of files.files) writeFileSync(join(directory, `images/pages-${id}.img`), bytes);
    await pages.close();

    const { server, result } = serveOnce((socket) =>
      serveCriuGet(socket, reader, { idleDeadlineMs: STEP_MS }),
    );
    const port = await listen(server, { host: '127.0.0.1', port: 0 });
    const restored = await restoreHeap(directory, { lazyPagesPort: port });
    try {
      assert.is(restored.exitCode, 0, logOf(directory));
      assert.is(await restored.ask('walk'), 'ok');
      assert.is(await withDeadline(restored.lazyPagesEnded(), STEP_MS, 'lazy-pages'), 0);
      const served = await withDeadline(result, STEP_MS, 'served');
      assert.ok(served.pageCount >= (HEAP_MIB * 256 * 15) / 16, `${served.pageCount} pages`);
    } finally {
      await restored.end();
      server.close();
    }
  },
);

type Restore = SessionResult & { faultsAtResponse: number };

/** One restore by our pager over our protocol; the program touches pages, then walks all of them. */
async function restoreByPager(
  policy: Policy,
  orderLog: OrderLog | undefined,
  record: boolean,
): Promise<Restore> {
  const options = { policy, record, recordGraceMs: 0, faultsDryUpMs: STEP_MS };
  const native = await startRestore({
    checkpoint,
    name: `${policy}-${record}`,
    session: orderLog === undefined ? options : { ...options, orderLog },
    eager: policy === 'eager',
  });
  try {
    const { session } = native;
    assert.is((await native.restored).exitCode, 0, logOf(native.directory));
    assert.is(await native.ask('touch 1000 7'), 'ok');
    const atResponse = await session.markFirstResponse();
    assert.is(await native.ask('walk'), 'ok');
    const result = await withDeadline(session.done, STEP_MS, 'session');
    assert.is((await native.pager.ended).exitCode, 0);
    await session.close();
    return { ...result, faultsAtResponse: atResponse.demandFaults };
  } finally {
    await native.end();
  }
}

function logOf(directory: string): string {
  return readFileSync(join(directory, 'work/restore.log'), 'utf8').slice(-2000);
}

criuTest(
  'our pager restores under every policy, with every page verified and few faults in order',
  async () => {
    const faults: Record<string, number> = {};
    const lazy = await restoreByPager('lazy', undefined, true);
    const loaded = await loadOrderLog(checkpoint.reader);
    assert.ok('log' in loaded);
    const results: [Policy, Restore][] = [['lazy', lazy]];
    for (const policy of ['ordered', 'prefill', 'eager'] as const) {
      results.push([policy, await restoreByPager(policy, loaded.log, false)]);
    }
    for (const [policy, result] of results) {
      faults[policy] = result.faultsAtResponse;
      assert.ok(
        result.memoryVerified,
        `${policy}: ${JSON.stringify(result, (_, v) => (typeof v === 'bigint' ? String(v) : v))}`,
      );
      assert.is(result.effectivePolicy, policy);
    }
    console.log(`demand faults at the response: ${JSON.stringify(faults)}`);
    assert.ok(faults.lazy! > 500);
    assert.ok(faults.ordered! * 10 <= faults.lazy!);
    assert.ok(faults.prefill! * 10 <= faults.lazy!);
    assert.is(faults.eager, 0);
  },
);

test.run();
