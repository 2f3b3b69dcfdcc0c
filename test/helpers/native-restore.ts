/**
 * A whole restore without a guest: real CRIU, our page store, page server and pager. The interconnect is a
 * Unix socket of the test's own, which can be cut, stalled and closed like the real one.
 */
import { createWriteStream, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { execa } from 'execa';
import type { PageSession, SessionOptions } from '../../offload-plane/page-server/contract.ts';
import { receiveDump } from '../../offload-plane/page-server/receive-dump.ts';
import { createPageServer } from '../../offload-plane/page-server/server.ts';
import type { CheckpointReader, PageStore } from '../../offload-plane/page-store/contract.ts';
import { openPageStore } from '../../offload-plane/page-store/store.ts';
import { memoryIndex } from '../../offload-plane/restores/memory-index.ts';
import { withDeadline } from '../../platform/deadline.ts';
import { prepareDirectory } from '../../testbed/native/criu-world.ts';
import { askHeap, dumpHeap, heapPid, type RestoredHeap, restoreHeap, STEP_MS } from './criu-heap.ts';
import { criuMissing } from './criu-test.ts';
import { buildPrograms, HEAP, MEMCHECK, type RunningPager, startPager } from './pager-program.ts';
import { test } from './suite.ts';
import { tempDirectory } from './temp-directory.ts';

const GUEST = 'g';

export async function listen(
  server: Server,
  where: { path: string } | { port: number; host: string },
): Promise<number> {
  await new Promise<void>((resolve) => server.listen(where, resolve));
  return typeof server.address() === 'string' ? 0 : (server.address() as AddressInfo).port;
}

/** Options of a `criu dump` that sends its pages there. */
export const pageServerAt = (port: number) => `--page-server --address 127.0.0.1 --port ${port}`;

/** The first connection is handed to `serve`; its result is the result. */
export function serveOnce<T>(serve: (socket: Socket) => Promise<T>): { server: Server; result: Promise<T> } {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  promise.catch(() => {});
  const server = createServer((socket) => serve(socket).then(resolve, reject));
  return { server, result: promise };
}

export interface HeapCheckpoint {
  directory: string;
  program: string;
  store: PageStore;
  reader: CheckpointReader;
  remove(): Promise<void>;
}

/** A heap program, dumped by CRIU over its page-server wire into a store of its own. */
export async function checkpointIntoStore(
  mib: number,
  threadCount: number,
  program = HEAP,
): Promise<HeapCheckpoint> {
  const directory = tempDirectory('native-restore');
  const dump = join(directory, 'dump');
  mkdirSync(dump);
  const store = await openPageStore({ directory: join(directory, 'store') });
  const writer = await store.begin('heap');
  const { server, result } = serveOnce((socket) => receiveDump(socket, writer, { idleDeadlineMs: STEP_MS }));
  const port = await listen(server, { host: '127.0.0.1', port: 0 });
  await dumpHeap(dump, { mib, threadCount, program }, pageServerAt(port));
  await withDeadline(result, STEP_MS, 'dump');
  server.close();
  for (const name of readdirSync(join(dump, 'images'))) {
    await writer.addImage(name, readFileSync(join(dump, 'images', name)));
  }
  await writer.commit({ program: 'heap' });
  const remove = async () => {
    await store.close();
    rmSync(directory, { recursive: true, force: true });
  };
  return { directory, program, store, reader: await store.open('heap'), remove };
}

/** One for all tests of a file; where there is no CRIU there is none. */
export function sharedCheckpoint(mib: number, threadCount: number): () => HeapCheckpoint {
  let checkpoint: HeapCheckpoint | undefined;
  test.before(async () => {
    if (criuMissing !== '') return;
    await buildPrograms();
    checkpoint = await checkpointIntoStore(mib, threadCount);
  });
  test.after(() => checkpoint?.remove());
  return () => checkpoint!;
}

/** The images CRIU needs, without its pages files. */
export async function writeImages(
  directory: string,
  reader: CheckpointReader,
  pagemaps: { name: string; bytes: Buffer }[],
  program = HEAP,
): Promise<void> {
  prepareDirectory(directory, [program]);
  for (const image of reader.imageFiles()) {
    writeFileSync(join(directory, 'images', image), await reader.readImage(image));
  }
  for (const image of pagemaps) writeFileSync(join(directory, 'images', image.name), image.bytes);
}

/** The plane's end of the interconnect. */
class PlaneSocket {
  readonly path: string;
  readonly sockets = new Set<Socket>();
  readonly #accept: (socket: Socket) => void;
  #server: Server;
  connectionCount = 0;

  constructor(path: string, accept: (socket: Socket) => void) {
    this.path = path;
    this.#accept = accept;
    this.#server = this.#open();
  }

  #open(): Server {
    return createServer((socket) => {
      this.connectionCount++;
      this.sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => this.sockets.delete(socket));
      this.#accept(socket);
    }).listen(this.path);
  }

  /** As when the plane's process dies: no last words, and nobody listens. */
  die(): void {
    this.#server.close();
    this.cut();
  }

  revive(): void {
    this.#server = this.#open();
  }

  cut(): void {
    for (const socket of this.sockets) socket.destroy();
  }
}

export interface NativeRestore {
  directory: string;
  session: PageSession;
  plane: PlaneSocket;
  pager: RunningPager;
  restored: Promise<RestoredHeap>;
  ask(command: string): Promise<string>;
  /** The program's memory against the checkpoint, page by page, while it stands still. */
  compare(): Promise<{ pages: number; equal: number; changed: number; zeroed: number; firstChanged: string }>;
  /** Everything this restore has started ends. */
  end(): Promise<void>;
}

export interface NativeRestoreOptions {
  checkpoint: HeapCheckpoint;
  name: string;
  session?: Partial<SessionOptions>;
  pagerArgs?: readonly string[];
  pagerProgram?: string;
  pagerEnv?: Record<string, string>;
  cgroup?: string;
  /** CRIU brings every page itself. */
  eager?: boolean;
  /** Between the plane's socket and the page server; the default hands each connection on. */
  accept?: (socket: Socket, serve: (stream: Duplex) => void) => void;
}

/** Starts the pager and, once it is ready, CRIU. */
export async function startRestore(options: NativeRestoreOptions): Promise<NativeRestore> {
  const { eager = false, cgroup = '' } = options;
  const { reader } = options.checkpoint;
  const directory = join(options.checkpoint.directory, options.name);
  mkdirSync(directory);
  const pages = createPageServer();
  const session = pages.openSession({
    guest: GUEST,
    reader,
    policy: 'lazy',
    record: false,
    faultsDryUpMs: 20,
    deadlines: { resumeMs: STEP_MS, doneMs: STEP_MS, statusMs: STEP_MS },
    ...options.session,
  });
  session.done.catch(() => {});
  await writeImages(directory, reader, await session.pagemapImages(), options.checkpoint.program);
  writeFileSync(join(directory, 'token'), session.token);
  const serve = (socket: Duplex) => pages.acceptPager(socket, GUEST);
  const accept = options.accept ?? ((socket, next) => next(socket));
  const plane = new PlaneSocket(join(directory, 'plane.sock'), (socket) => accept(socket, serve));
  const pagerArgs = [
    ...['--connect', `unix:${plane.path}`, '--token-file', join(directory, 'token')],
    ...['--images-dir', join(directory, 'images'), '--work-dir', join(directory, 'work')],
    ...(cgroup === '' ? [] : ['--container-cgroup', cgroup]),
    ...['--deadline-ms', String(STEP_MS)],
    ...(options.pagerArgs ?? []),
  ];
  const pager = startPager(pagerArgs, options.pagerProgram, options.pagerEnv);
  const restored = withDeadline(pager.ready, STEP_MS, 'pager').then(() =>
    restoreHeap(directory, { eager, cgroup }),
  );
  restored.catch(() => {});
  return {
    directory,
    session,
    plane,
    pager,
    restored,
    ask: (command) => askHeap(directory, command),
    compare: async () => compareMemory(directory, reader, (await restored).pid),
    end: async () => {
      pager.kill('SIGTERM');
      await withDeadline(pager.ended, STEP_MS, 'end of the pager');
      await restored.then(
        (heap) => heap.end(),
        () => undefined,
      );
      await pages.close();
      plane.die();
      rmSync(directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 20 });
    },
  };
}

async function compareMemory(directory: string, reader: CheckpointReader, pid: number) {
  const heap = heapPid(pid);
  if (heap === undefined) throw new Error('the heap program is not there');
  process.kill(heap, 'SIGSTOP');
  try {
    const index = join(directory, 'memory-index');
    await pipeline(memoryIndex(reader), createWriteStream(index));
    const { stdout } = await execa(MEMCHECK, ['--index', index, '--pid-map', `1000:${heap}`]);
    return JSON.parse(stdout);
  } finally {
    process.kill(heap, 'SIGCONT');
  }
}
