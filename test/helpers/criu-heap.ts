/** The heap program (guest-agent/pager/test/heap.c) in worlds of its own, dumped and restored by real CRIU. */
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { connect } from 'node:net';
import { basename, join } from 'node:path';
import { withDeadline } from '../../platform/deadline.ts';
import {
  CRIU_OPTIONS,
  openWorld,
  PIDS_FROM_1000,
  prepareDirectory,
  type World,
} from '../../testbed/native/criu-world.ts';
import { HEAP } from './pager-program.ts';
import { tempDirectory } from './temp-directory.ts';
import { until } from './until.ts';

/** For what must come; a busy machine takes its time. */
export const STEP_MS = 180_000;
const QUIET = '</dev/null >/dev/null 2>&1';
const IMAGES = '-D /run/test/images';

export interface HeapProgram {
  mib: number;
  threadCount: number;
  /** Child processes with the same heap. Default: none. */
  childCount?: number;
  /** Default: the static one. */
  program?: string;
}

export interface ServedHeap {
  world: World;
  /** criu dump to the directory's images, run by another program if need be; its exit code. */
  dump(options: string, run?: string): Promise<number>;
  /** The same with a CRIU that is killed after so many seconds: 137, unless it had ended before. */
  dumpAndKill(options: string, delayS: number): Promise<number>;
}

/** @param freezer a cgroup that CRIU may freeze and thaw, at /run/freezer inside */
export async function serveHeap(directory: string, heap: HeapProgram, freezer?: string): Promise<ServedHeap> {
  const { mib, threadCount, childCount = 0, program = HEAP } = heap;
  prepareDirectory(directory, [program]);
  const world = await openWorld(directory, freezer === undefined ? {} : { mounts: { freezer } });
  const command = `/run/test/bin/${basename(program)} /run/test/heap.sock ${mib} ${threadCount} ${childCount}`;
  await world.run(`${PIDS_FROM_1000}; ${command} ${QUIET} & heap=$!`);
  await until('the heap program', () => existsSync(join(directory, 'heap.sock.ready')));
  const dump = (options: string, run = '') =>
    `rm -f /run/test/images/*; ${run} criu dump -t $heap ${IMAGES} -o ../dump.log ${CRIU_OPTIONS} ${options} ${QUIET}`;
  return {
    world,
    dump: (options, run) => world.run(dump(options, run)),
    dumpAndKill: (options, delayS) =>
      world.run(
        `${dump(options)} & criu=$!; ` +
          `{ sleep ${delayS}; kill -9 $criu 2>/dev/null; } & killer=$!; ` +
          'wait $criu 2>/dev/null; code=$?; kill $killer 2>/dev/null; (exit $code)',
      ),
  };
}

/** Starts the heap program, dumps it and ends it. */
export async function dumpHeap(directory: string, heap: HeapProgram, options = ''): Promise<void> {
  const served = await serveHeap(directory, heap);
  const exitCode = await served.dump(options);
  await served.world.close();
  if (exitCode === 0) return;
  const log = readFileSync(join(directory, 'dump.log'), 'utf8').slice(-2000);
  throw new Error(`criu dump of the heap: exit ${exitCode}: ${log}`);
}

export interface Checkpoint {
  directory: string;
  images: string;
  work: string;
}

/** CRIU's own images of a heap program. */
export async function checkpointHeap(mib: number, threadCount: number, childCount = 0): Promise<Checkpoint> {
  const directory = tempDirectory('heap');
  await dumpHeap(directory, { mib, threadCount, childCount });
  return { directory, images: join(directory, 'images'), work: join(directory, 'work') };
}

export const localArgs = (checkpoint: Checkpoint, ...more: string[]) => [
  ...['--images-dir', checkpoint.images, '--work-dir', checkpoint.work],
  ...more,
];

export interface RestoredHeap {
  /** Of the process that made the namespace; it is not in it. */
  pid: number;
  /** Exit code of `criu restore`. */
  exitCode: number;
  /** One command to the program; the answer, or why there is none. */
  ask(command: string): Promise<string>;
  /** Exit code of a stock `criu lazy-pages`, when it has ended. */
  lazyPagesEnded(): Promise<number>;
  /** Ends every process of the restore. */
  end(): Promise<void>;
}

export interface HeapRestoreOptions {
  /** The port of a page server for a stock lazy-pages. Default: a pager of ours listens already. */
  lazyPagesPort?: number;
  /** The files have every page, and nobody listens. */
  eager?: boolean;
  cgroup?: string;
}

export async function restoreHeap(
  directory: string,
  options: HeapRestoreOptions = {},
): Promise<RestoredHeap> {
  const { lazyPagesPort, eager = false, cgroup = '' } = options;
  const world = await openWorld(directory, { cgroup });
  const where = `${IMAGES} -W /run/test/work`;
  if (lazyPagesPort !== undefined) {
    const server = `--page-server --address 127.0.0.1 --port ${lazyPagesPort}`;
    await world.run(`criu lazy-pages ${server} ${where} -v2 -o lazy.log ${QUIET} & lazy=$!`);
    await until('lazy-pages', () => existsSync(join(directory, 'work/lazy-pages.socket')));
  }
  const lazy = eager ? '' : '--lazy-pages';
  const command = `rm -f /run/test/heap.sock; criu restore -d ${where} -o restore.log ${CRIU_OPTIONS} ${lazy} ${QUIET}`;
  return {
    pid: world.pid,
    exitCode: await world.run(command).catch(() => -1), // killed with all that is inside
    ask: (line) => askHeap(directory, line),
    lazyPagesEnded: () => world.run('wait $lazy'),
    end: () => world.close(),
  };
}

/** One command to the heap program of a directory; the answer, or why there is none. */
export function askHeap(directory: string, command: string): Promise<string> {
  const answer = new Promise<string>((resolve) => {
    let text = '';
    const socket = connect(join(directory, 'heap.sock'), () => socket.write(`${command}\n`));
    socket.on('data', (chunk) => {
      text += chunk;
      if (text.endsWith('\n')) socket.end();
    });
    socket.on('error', (error) => resolve(`no answer: ${error}`));
    socket.on('close', () => resolve(text.trim() || 'no answer'));
  });
  return withDeadline(answer, STEP_MS, `heap ${command}`);
}

/** The heap program's pid out here; undefined when it is gone. */
export function heapPid(namespaceMaker: number): number | undefined {
  const namespace = link(namespaceMaker, 'pid_for_children');
  return processes().find((one) => one.innerPid === 1000 && one.namespace === namespace)?.pid;
}

export const childrenOf = (pid: number): number[] =>
  processes()
    .filter((one) => one.parent === pid)
    .map((one) => one.pid);

function link(pid: number, name: string): string {
  try {
    return readlinkSync(`/proc/${pid}/ns/${name}`);
  } catch {
    return '';
  }
}

interface Process {
  pid: number;
  parent: number;
  /** Its pid as it sees itself. */
  innerPid: number;
  namespace: string;
}

function processes(): Process[] {
  const field = (text: string, name: string) =>
    Number(new RegExp(`^${name}:.*?(\\d+)$`, 'm').exec(text)?.[1] ?? 0);
  return readdirSync('/proc').flatMap((entry) => {
    const pid = Number(entry);
    if (!Number.isInteger(pid)) return [];
    try {
      const status = readFileSync(`/proc/${pid}/status`, 'utf8');
      return [
        {
          pid,
          parent: field(status, 'PPid'),
          innerPid: field(status, 'NSpid'),
          namespace: link(pid, 'pid'),
        },
      ];
    } catch {
      return []; // it has just ended
    }
  });
}
