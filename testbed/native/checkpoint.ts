/** A running workload, and its checkpoints: in the plane's store, and as stock CRIU writes them. */

import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { type DumpTimes, readDumpTimes } from '../../guest-agent/runtime/criu-stats.ts';
import { pollUntil } from '../../platform/deadline.ts';
import { OffloadError } from '../../platform/errors.ts';
import { CRIU_OPTIONS, openWorld, PIDS_FROM_1000, prepareDirectory, type World } from './criu-world.ts';
import { askFirst } from './first-answer.ts';
import type { NativePlane } from './plane.ts';
import type { DumpEnd } from './plane-protocol.ts';
import { WITH_SOCKET } from './programs.ts';
import { removeOnExit } from './remove-on-exit.ts';
import type { NativeWorkload } from './workload.ts';

/** In memory, as /run is in a guest. */
const SCRATCH = '/dev/shm';
export const DUMP_SOCKET = 'dump.sock';
/** None that the shell of the world uses itself. */
const DUMP_FD = 9;
/** For a dump into a plane that listens at DUMP_SOCKET: what CRIU is run by, with WITH_SOCKET in bin, and told. */
export const THROUGH_SOCKET = {
  run: `/run/test/bin/with-socket ${DUMP_FD} /run/test/${DUMP_SOCKET}`,
  options: `--page-server --ps-socket ${DUMP_FD}`,
};

export function scratchDirectory(): string {
  const directory = mkdtempSync(join(SCRATCH, 'offload-native-'));
  removeOnExit(directory);
  return directory;
}

export interface RunningWorkload {
  /** A stock dump to a directory of this name; answers its path. */
  dumpTo(name: string): Promise<DumpTimes & { images: string }>;
  dumpInto(plane: NativePlane, checkpoint: string): Promise<DumpTimes & DumpEnd>;
  /** The files in /run/state as they are once it is ended, for those who restore it. Ends it. */
  stopAndKeepState(stateDirectory: string): Promise<void>;
  stop(): Promise<void>;
}

/**
 * Starts it and waits for a right answer.
 * @param imagesRoot where dumps go; it stays
 */
export async function startWorkload(workload: NativeWorkload, imagesRoot: string): Promise<RunningWorkload> {
  const directory = scratchDirectory();
  prepareDirectory(directory, [...workload.programs, WITH_SOCKET]);
  const { mounts = {} } = workload;
  const world = await openWorld(directory, { images: imagesRoot, mounts });
  const stop = async () => {
    await world.close();
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    const log = '</dev/null >/run/test/work/program.log 2>&1';
    if (workload.setup !== undefined && (await world.run(`{ ${workload.setup}; } ${log}`)) !== 0) {
      const reason = readFileSync(join(directory, 'work/program.log'), 'utf8').slice(-400);
      throw new OffloadError('runtime_failed', `${workload.name}: set-up: ${reason}`);
    }
    await world.run(`${PIDS_FROM_1000}; setsid ${workload.command} </dev/null >/dev/null 2>&1 & root=$!`);
    await warmUp(workload, directory, world);
  } catch (error) {
    await stop();
    throw error;
  }

  // Without CAP_SYS_RESOURCE the limits of a process can be read by its own real user only. As that user CRIU
  // cannot probe the kernel; it finds what root's probe has left in /run.
  const { userId } = workload;
  const asUser =
    userId === undefined
      ? ''
      : `criu check >/dev/null 2>&1; setpriv --ruid ${userId} --rgid ${userId} --keep-groups`;
  async function dump(name: string, run = '', options = ''): Promise<DumpTimes> {
    mkdirSync(join(imagesRoot, name));
    const where = `-D /run/images/${name} -W /run/test/work -o dump.log`;
    const exitCode = await world.run(
      `${asUser} ${run} criu dump --leave-running -t $root ${where} ${CRIU_OPTIONS} ${options} </dev/null >/dev/null 2>&1`,
    );
    if (exitCode !== 0) {
      const reason = readFileSync(join(directory, 'work/dump.log'), 'utf8').slice(-1_000);
      throw new OffloadError('runtime_failed', `criu dump: exit ${exitCode}: ${reason}`);
    }
    const times = await readDumpTimes(join(directory, 'work'));
    if (times === undefined) throw new OffloadError('internal', 'criu dump: its stats-dump says no times');
    return times;
  }

  return {
    dumpTo: async (name) => ({ ...(await dump(name)), images: join(imagesRoot, name) }),
    async dumpInto(plane, checkpoint) {
      const socket = join(directory, DUMP_SOCKET);
      await plane.call('beginDump', { checkpoint, socket });
      const metadata = `${checkpoint}-metadata`;
      const times = await dump(metadata, THROUGH_SOCKET.run, THROUGH_SOCKET.options);
      const imagesDirectory = join(imagesRoot, metadata);
      const end = await plane.call('finishDump', { checkpoint, imagesDirectory });
      rmSync(imagesDirectory, { recursive: true });
      return { ...times, ...end };
    },
    async stopAndKeepState(stateDirectory) {
      await world.close(); // by SIGKILL: nothing is written that the dump does not know of
      await copyState(join(directory, 'state'), stateDirectory);
      await stop();
    },
    stop,
  };
}

/** Sockets stay behind: CRIU makes them anew. */
export async function copyState(from: string, to: string): Promise<void> {
  await execa('cp', ['-a', `${from}/.`, to], { timeout: COPY_TIMEOUT_MS });
  await execa('find', [to, '-type', 's', '-delete'], { timeout: COPY_TIMEOUT_MS });
}

const COPY_TIMEOUT_MS = 60_000;
const WARM_UP_TIMEOUT_MS = 120_000;
const WARM_UP_INTERVAL_MS = 50;

async function warmUp(workload: NativeWorkload, directory: string, world: World): Promise<void> {
  const { warmRoundCount = 1 } = workload;
  const wait = { timeoutMs: WARM_UP_TIMEOUT_MS, intervalMs: WARM_UP_INTERVAL_MS };
  const access = { run: (command: string) => world.run(`${command} </dev/null >/dev/null 2>&1`) };
  const load = async () => {
    await workload.load?.(access);
    return true;
  };
  await pollUntil(load, { ...wait, what: `${workload.name} has its data` });
  const isRight = () => askFirst(workload, directory).answeredAtMs;
  for (let round = 0; round < warmRoundCount; round++) {
    await pollUntil(isRight, { ...wait, what: `${workload.name} answers rightly` });
  }
}
