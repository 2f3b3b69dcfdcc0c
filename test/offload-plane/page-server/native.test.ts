/** Real CRIU dumps into the store and restores from it, by its own lazy-pages and by our pager. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { FrameType } from '../../../interconnect/page-protocol.ts';
import type { OrderLog } from '../../../offload-plane/order-log/contract.ts';
import { loadOrderLog } from '../../../offload-plane/order-log/load.ts';
import type { Policy, SessionResult } from '../../../offload-plane/page-server/contract.ts';
import { serveCriuGet } from '../../../offload-plane/page-server/criu-get.ts';
import { receiveDump } from '../../../offload-plane/page-server/receive-dump.ts';
import { createPageServer } from '../../../offload-plane/page-server/server.ts';
import type {
  CheckpointReader,
  CheckpointWriter,
  PageStore,
} from '../../../offload-plane/page-store/contract.ts';
import { openPageStore } from '../../../offload-plane/page-store/store.ts';
import { withDeadline } from '../../../platform/deadline.ts';
import { buildPrograms, criuMissing, startPager } from '../../guest-agent/pager/criu-world.ts';
import {
  dirtyTrackingMissing,
  dumpHeap,
  dumpHeapTwice,
  prepareDirectory,
  restoreHeap,
} from '../../helpers/criu.ts';
import { FakePager } from './fake-pager.ts';

const HEAP_MIB = 48;
const THREAD_COUNT = 2;
const STEP_MS = 30_000;
let scratch = '';
let store: PageStore;
let reader: CheckpointReader;

function criuTest(title: string, body: () => Promise<void>, missing = criuMissing): void {
  if (missing === '') test(title, body);
  else console.log(`skipped: ${title}: ${missing}`);
}

const trackingMissing = criuMissing || (await dirtyTrackingMissing());

async function listen(
  server: Server,
  where: { path: string } | { port: number; host: string },
): Promise<number> {
  await new Promise<void>((resolve) => server.listen(where, resolve));
  return typeof server.address() === 'string' ? 0 : (server.address() as AddressInfo).port;
}

/** The first connection is handed to `serve`; its result is the result. */
function serveOnce<T>(serve: (socket: Socket) => Promise<T>): { server: Server; result: Promise<T> } {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  promise.catch(() => {});
  const server = createServer((socket) => serve(socket).then(resolve, reject));
  return { server, result: promise };
}

function ask(directory: string, command: string): Promise<string> {
  const answer = new Promise<string>((resolve) => {
    let text = '';
    const socket = connect(join(directory, 'heap.sock'), () => socket.write(`${command}\n`));
    socket.on('data', (chunk) => {
      text += chunk;
      if (text.endsWith('\n')) socket.end();
    });
    socket.on('error', (error) => resolve(String(error)));
    socket.on('close', () => resolve(text.trim()));
  });
  return withDeadline(answer, STEP_MS, `heap ${command}`);
}

/** The images CRIU needs, without its pages files. */
async function makeImages(name: string, pagemaps: { name: string; bytes: Buffer }[]): Promise<string> {
  const directory = join(scratch, name);
  mkdirSync(directory);
  prepareDirectory(directory);
  for (const image of reader.imageFiles()) {
    writeFileSync(join(directory, 'images', image), await reader.readImage(image));
  }
  for (const image of pagemaps) writeFileSync(join(directory, 'images', image.name), image.bytes);
  return directory;
}

test.before(async () => {
  if (criuMissing !== '') return;
  await buildPrograms();
  scratch = mkdtempSync(join(tmpdir(), 'page-server-test-'));
  store = await openPageStore({ directory: join(scratch, 'store') });
});

test.after(async () => {
  if (scratch === '') return;
  await store.close();
  rmSync(scratch, { recursive: true, force: true });
});

criuTest('a dump by CRIU arrives in the store over its page-server wire', async () => {
  const directory = join(scratch, 'dump');
  mkdirSync(directory);
  prepareDirectory(directory);
  const writer = await store.begin('heap');
  const { server, result } = serveOnce((socket) => receiveDump(socket, writer, { idleDeadlineMs: STEP_MS }));
  const port = await listen(server, { host: '127.0.0.1', port: 0 });
  await dumpHeap(directory, HEAP_MIB, THREAD_COUNT, port);
  const summary = await withDeadline(result, STEP_MS, 'dump');
  server.close();
  for (const name of readdirSync(join(directory, 'images'))) {
    await writer.addImage(name, readFileSync(join(directory, 'images', name)));
  }
  const manifest = await writer.commit({ program: 'heap' });
  console.log(
    `dumped ${summary.pageCount} pages (${manifest.zeroPageCount} zero) in ${Math.round(summary.durationMs)} ms`,
  );
  assert.is(manifest.pageCount, summary.pageCount);
  assert.ok(
    manifest.pageCount >= (HEAP_MIB * 256 * 15) / 16,
    'every 16th page of the heap was never touched',
  );
  reader = await store.open('heap');
});

criuTest(
  'a stock criu lazy-pages restores from the page server, and the program finds every word',
  async () => {
    const pages = createPageServer();
    const session = pages.openSession({ guest: 'g', reader, policy: 'lazy', record: false });
    const directory = await makeImages('stock', await session.pagemapImages());
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
      assert.is(await ask(directory, 'walk'), 'ok');
      assert.is(await withDeadline(restored.lazyPagesEnded, STEP_MS, 'lazy-pages'), 0);
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
  name = `${policy}-${record}`,
): Promise<Restore> {
  const pages = createPageServer();
  const options = { guest: 'g', reader, policy, record, recordGraceMs: 0, faultsDryUpMs: STEP_MS };
  const session = pages.openSession(orderLog === undefined ? options : { ...options, orderLog });
  const directory = await makeImages(name, await session.pagemapImages());
  const server = createServer((socket) => pages.acceptPager(socket, 'g'));
  await listen(server, { path: join(directory, 'plane.sock') });
  writeFileSync(join(directory, 'token'), session.token);
  const pager = startPager([
    ...['--connect', `unix:${join(directory, 'plane.sock')}`, '--token-file', join(directory, 'token')],
    ...['--images-dir', join(directory, 'images'), '--work-dir', join(directory, 'work')],
  ]);
  try {
    await withDeadline(pager.ready, STEP_MS, 'pager');
    const restored = await restoreHeap(directory, { eager: policy === 'eager' });
    try {
      assert.is(restored.exitCode, 0, logOf(directory));
      assert.is(await ask(directory, 'touch 1000 7'), 'ok');
      const atResponse = await session.markFirstResponse();
      assert.is(await ask(directory, 'walk'), 'ok');
      const result = await withDeadline(session.done, STEP_MS, 'session');
      assert.is((await pager.ended).exitCode, 0);
      await session.close();
      return { ...result, faultsAtResponse: atResponse.demandFaults };
    } finally {
      await restored.end();
    }
  } finally {
    pager.kill('SIGKILL');
    await pages.close();
    server.close();
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
    const loaded = await loadOrderLog(reader);
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

criuTest(
  'a dump on top of an earlier one brings changed pages only, and restores like a full one',
  async () => {
    const directory = join(scratch, 'twice');
    mkdirSync(directory);
    prepareDirectory(directory);
    const earlier = await store.begin('earlier');
    const first = serveOnce((socket) => receiveDump(socket, earlier, { idleDeadlineMs: STEP_MS }));
    let writer: CheckpointWriter | undefined;
    const second = serveOnce((socket) => receiveDump(socket, writer!, { idleDeadlineMs: STEP_MS }));
    const ports = {
      first: await listen(first.server, { host: '127.0.0.1', port: 0 }),
      second: await listen(second.server, { host: '127.0.0.1', port: 0 }),
    };
    await dumpHeapTwice(directory, { mib: HEAP_MIB, threadCount: THREAD_COUNT }, ports, async () => {
      await first.result;
      await earlier.commit({});
      writer = await store.begin('later', { parent: 'earlier', inherit: 'named' });
      assert.is(await ask(directory, 'discard'), 'ok');
      assert.is(await ask(directory, 'unmap'), 'ok');
    });
    const summary = await withDeadline(second.result, STEP_MS, 'dump');
    first.server.close();
    second.server.close();
    for (const name of readdirSync(join(directory, 'images'))) {
      if (name === 'parent') continue; // a link to the earlier dump's images
      await writer!.addImage(name, readFileSync(join(directory, 'images', name)));
    }
    const manifest = await writer!.commit({ program: 'heap' });
    assert.ok(summary.inheritedPageCount > summary.pageCount / 2);
    assert.is(manifest.pageCount, summary.pageCount);
    await store.remove('earlier');
    await reader.close();
    reader = await store.open('later');
    assert.ok((await restoreByPager('lazy', undefined, false, 'restored-later')).memoryVerified);
  },
  trackingMissing,
);

test.run();
