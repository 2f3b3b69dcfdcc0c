/**
 * The plane of the native world: the real page store and page server in a process of their own, as on a
 * device, steered by messages in place of the HTTP API and the agent.
 * Arguments: the store's directory, the Unix socket on which pagers are taken, and sessions that an earlier one
 * has left, as JSON.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { appendFile, mkdir, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer, type ListenOptions, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import type { OrderEntry, OrderLog } from '../../offload-plane/order-log/contract.ts';
import { loadOrderLog, toOrderLog } from '../../offload-plane/order-log/load.ts';
import type { PageServer, PageSession } from '../../offload-plane/page-server/contract.ts';
import { serveCriuGet } from '../../offload-plane/page-server/criu-get.ts';
import { planRestore } from '../../offload-plane/page-server/plan.ts';
import { receiveDump } from '../../offload-plane/page-server/receive-dump.ts';
import { createPageServer } from '../../offload-plane/page-server/server.ts';
import type { CheckpointReader, CheckpointWriter } from '../../offload-plane/page-store/contract.ts';
import { KEEP_OPEN_COUNT } from '../../offload-plane/page-store/limits.ts';
import { openPageStore } from '../../offload-plane/page-store/store.ts';
import { OffloadError, toOffloadError } from '../../platform/errors.ts';
import { derive } from './derive-order.ts';
import type {
  AnswerMessage,
  CallMessage,
  CallName,
  DumpEnd,
  LeftSession,
  PlaneCalls,
  RestoreCall,
  SessionEnd,
  TraceEvent,
} from './plane-protocol.ts';

const GUEST = 'native';
const IDLE_MS = 180_000;
const [storeDirectory, pagerSocket, leftSessions = '[]'] = process.argv.slice(2) as [string, string, string?];
const store = await openPageStore({ directory: storeDirectory, keepOpenCount: KEEP_OPEN_COUNT });
const monotonicMs = () => Number(process.hrtime.bigint()) / 1e6;

interface OpenSession {
  session: PageSession;
  reader: CheckpointReader;
  trace: TraceEvent[];
}

const sessions = new Map<string, OpenSession>();
const keptOrders = new Map<string, readonly OrderEntry[]>();
const dumps = new Map<string, { writer: CheckpointWriter; received: Promise<{ durationMs: number }> }>();

/** The page server tells its metrics for all sessions at once; traced restores run one at a time. */
let tracing: TraceEvent[] | undefined;
const pageServer: PageServer = createPageServer({
  metrics: {
    pagesSent: (what, pageCount) => tracing?.push({ atMs: monotonicMs(), what, pageCount }),
  },
});
for (const { token, checkpoint, policy } of JSON.parse(leftSessions) as LeftSession[]) {
  const reader = await store.open(checkpoint);
  const session = pageServer.openSession({
    guest: GUEST,
    reader,
    policy,
    record: false,
    reopened: { token },
  });
  sessions.set(token, { session, reader, trace: [] });
}
const pagers = createServer((socket) => pageServer.acceptPager(socket, GUEST));
await new Promise<void>((resolve) => pagers.listen(pagerSocket, resolve));

/** One connection, on a port of its own or on a Unix socket. */
async function takeOne(where: ListenOptions, serve: (socket: Socket) => void): Promise<Server> {
  const server: Server = createServer({ noDelay: true }, (socket) => {
    server.close();
    serve(socket);
  });
  await new Promise<void>((resolve) => server.listen(where, resolve));
  return server;
}

async function orderFor(reader: CheckpointReader, name: string | undefined): Promise<OrderLog | undefined> {
  if (name === 'none') return undefined;
  if (name !== undefined) return toOrderLog(reader, kept(name));
  const loaded = await loadOrderLog(reader);
  return 'log' in loaded ? loaded.log : undefined;
}

function kept(name: string): readonly OrderEntry[] {
  const entries = keptOrders.get(name);
  if (entries === undefined)
    throw new OffloadError('not_found', `native plane: no order log ${name} is kept`);
  return entries;
}

function opened(id: string): OpenSession {
  const open = sessions.get(id);
  if (open === undefined) throw new OffloadError('not_found', `native plane: no session ${id.slice(0, 8)}`);
  return open;
}

async function openRestore(call: RestoreCall): Promise<{ session: string }> {
  const reader = await store.open(call.checkpoint);
  const orderLog = await orderFor(reader, call.order);
  const session = pageServer.openSession({
    guest: GUEST,
    reader,
    policy: call.policy,
    record: call.record,
    ...(call.faultsDryUpMs === undefined ? {} : { faultsDryUpMs: call.faultsDryUpMs }),
    ...(orderLog ? { orderLog } : {}),
  });
  const trace: TraceEvent[] = [];
  if (call.trace) {
    tracing = trace;
    session.events.on('fault', () => trace.push({ atMs: monotonicMs(), what: 'fault', pageCount: 1 }));
  }
  sessions.set(session.token, { session, reader, trace });
  const images = join(call.directory, 'images');
  await Promise.all([
    ...reader.imageFiles().map(async (name) => writeFile(join(images, name), await reader.readImage(name))),
    ...(await session.pagemapImages()).map(({ name, bytes }) => writeFile(join(images, name), bytes)),
    writeFile(join(call.directory, 'token'), session.token),
  ]);
  return { session: session.token };
}

async function restoreEnd(call: { session: string; keepOrderAs?: string }): Promise<SessionEnd> {
  const { session, reader, trace } = opened(call.session);
  try {
    const result = await session.done;
    const doneAtMs = monotonicMs();
    if (call.keepOrderAs !== undefined) keptOrders.set(call.keepOrderAs, [...session.recordedOrder()]);
    await session.close();
    const { memoryVerified, effectivePolicy, demandFaults, installed, pushed, filled, duplicates } = result;
    const counts = { demandFaults, installed, pushed, filled, duplicates };
    const recordedCount = session.recordedOrder().length;
    return {
      doneAtMs,
      memoryVerified,
      effectivePolicy,
      ...counts,
      counters: session.counters(),
      recordedCount,
      trace,
    };
  } finally {
    tracing = undefined;
    sessions.delete(call.session);
    await reader.close();
  }
}

async function beginDump(checkpoint: string, socketPath: string): Promise<object> {
  const writer = await store.begin(checkpoint);
  const { promise, resolve, reject } = Promise.withResolvers<{ durationMs: number }>();
  promise.catch(() => {});
  await takeOne({ path: socketPath }, (socket) => {
    receiveDump(socket, writer, { idleDeadlineMs: IDLE_MS }).then(resolve, reject);
  });
  dumps.set(checkpoint, { writer, received: promise });
  return {};
}

async function finishDump(checkpoint: string, imagesDirectory: string): Promise<DumpEnd> {
  const dump = dumps.get(checkpoint);
  if (dump === undefined) throw new OffloadError('not_found', `native plane: no dump ${checkpoint}`);
  dumps.delete(checkpoint);
  try {
    const { durationMs: receiveMs } = await dump.received;
    const startMs = monotonicMs();
    for (const name of readdirSync(imagesDirectory)) {
      await dump.writer.addImage(name, readFileSync(join(imagesDirectory, name)));
    }
    const { pageCount, zeroPageCount } = await dump.writer.commit({});
    return { pageCount, zeroPageCount, receiveMs, commitMs: monotonicMs() - startMs };
  } catch (error) {
    await dump.writer.abort();
    throw error;
  }
}

/** What a stock restore needs beside lazy pages: the metadata, and the pages CRIU itself installs. */
async function writeStockImages(checkpoint: string, directory: string): Promise<{ filePageCount: number }> {
  const reader = await store.open(checkpoint);
  try {
    await mkdir(directory, { recursive: true });
    const plan = planRestore(reader, 'lazy', undefined);
    for (const { name, bytes } of plan.images) await writeFile(join(directory, name), bytes);
    for (const name of reader.imageFiles())
      await writeFile(join(directory, name), await reader.readImage(name));
    for (const { pagesId, target, vaddr, pageCount } of plan.files) {
      await appendFile(
        join(directory, `pages-${pagesId}.img`),
        await reader.readPages(target, vaddr, pageCount),
      );
    }
    return { filePageCount: plan.filePageCount };
  } finally {
    await reader.close();
  }
}

async function serveStock(checkpoint: string): Promise<{ port: number }> {
  const reader = await store.open(checkpoint);
  const server = await takeOne({ host: '127.0.0.1', port: 0 }, (socket) => {
    serveCriuGet(socket, reader, { idleDeadlineMs: IDLE_MS })
      .catch(() => undefined) // CRIU's own end says what became of it
      .finally(() => reader.close());
  });
  return { port: (server.address() as AddressInfo).port };
}

async function deriveOrder(call: PlaneCalls['deriveOrder'][0]): Promise<{ pageCount: number }> {
  const entries = derive(kept(call.from), call.how, call.other === undefined ? [] : kept(call.other));
  keptOrders.set(call.name, entries);
  return { pageCount: entries.length };
}

const calls: { [Name in CallName]: (argument: PlaneCalls[Name][0]) => Promise<PlaneCalls[Name][1]> } = {
  beginDump: ({ checkpoint, socket }) => beginDump(checkpoint, socket),
  finishDump: ({ checkpoint, imagesDirectory }) => finishDump(checkpoint, imagesDirectory),
  serveStock: ({ checkpoint }) => serveStock(checkpoint),
  openRestore,
  responded: async ({ session }) => {
    const { demandFaults, installed } = await opened(session).session.markFirstResponse();
    return { demandFaults, installed };
  },
  restoreEnd,
  abandonRestore: async ({ session: id }) => {
    const { session, reader } = opened(id);
    sessions.delete(id);
    await session.close();
    await reader.close();
    return {};
  },
  removeCheckpoint: async ({ checkpoint }) => {
    await store.remove(checkpoint);
    return {};
  },
  trim: async () => {
    await store.trim();
    return {};
  },
  deriveOrder,
  writeStockImages: ({ checkpoint, directory }) => writeStockImages(checkpoint, directory),
};

process.on('message', async ({ sequence, name, argument }: CallMessage) => {
  let message: AnswerMessage;
  try {
    message = { sequence, answer: await calls[name](argument as never) };
  } catch (thrown) {
    const error = toOffloadError(thrown, `native plane ${name}`);
    message = { sequence, error: { code: error.code, message: error.message } };
  }
  process.send!(message);
});
process.on('disconnect', () => process.exit());
process.send!({ sequence: 0, answer: {} } satisfies AnswerMessage);
