/**
 * Programs that an agent which was killed has left: crun in the middle of a verb, conmon before its verdict,
 * a pager, tar. They are told by the files of the container that they work on.
 */
import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { pollUntil } from '../platform/deadline.ts';
import { type ContainerPaths, inContainerCgroup } from './paths.ts';
import { isAlive, type ProcessName, processNamed } from './process-name.ts';

export interface LeftoverProgram {
  process: ProcessName;
  /** Its file's name: `crun`. */
  name: string;
  args: readonly string[];
}

const LOOK_INTERVAL_MS = 20;
const KILL_TIMEOUT_MS = 10_000;

/** All programs outside of containers, which may call themselves what they like. */
export async function listPrograms(proc = '/proc'): Promise<LeftoverProgram[]> {
  const pids = (await readdir(proc)).map(Number).filter((pid) => pid > 1 && pid !== process.pid);
  const read = await Promise.all(pids.map((pid) => readProgram(proc, pid)));
  return read.filter((program) => program !== undefined);
}

async function readProgram(proc: string, pid: number): Promise<LeftoverProgram | undefined> {
  const read = (file: string) => readFile(join(proc, String(pid), file), 'utf8').catch(() => '');
  // First: those of a container may have as many arguments as they like.
  if (inContainerCgroup(await read('cgroup'))) return undefined;
  const process_ = processNamed(pid, proc);
  const [path, ...args] = (await read('cmdline')).split('\0').slice(0, -1);
  if (path === undefined || process_ === undefined) return undefined;
  return { process: process_, name: basename(path), args };
}

/** Whether it works on this container: it names the container itself to crun, or one of its files. */
export function worksOn({ name, args }: LeftoverProgram, id: string, own: ContainerPaths): boolean {
  if (name === 'crun' && args.at(-1) === id) return true;
  return args.some((arg) =>
    [own.bundle, own.data].some((directory) => {
      const at = arg.indexOf(directory);
      return at !== -1 && ['', '/', ','].includes(arg.charAt(at + directory.length));
    }),
  );
}

/** Waits for the programs to end by themselves; those that do not in time are killed. */
export async function outlive(programs: readonly LeftoverProgram[], timeoutMs: number): Promise<void> {
  const waitFor = (limitMs: number) =>
    pollUntil(() => programs.every(({ process: one }) => !isAlive(one)) || undefined, {
      timeoutMs: limitMs,
      intervalMs: LOOK_INTERVAL_MS,
      what: 'end of programs that an earlier agent has started',
    });
  await waitFor(timeoutMs).catch(() => endNow(programs));
}

/** With whatever they have started in their process group: conmon leads one, with crun and CRIU in it. */
export async function endNow(programs: readonly LeftoverProgram[]): Promise<void> {
  for (const { process: one, name } of programs) {
    if (!isAlive(one)) continue;
    for (const pid of name === 'conmon' ? [-one.pid, one.pid] : [one.pid]) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It ended meanwhile, or does not lead a group yet.
      }
    }
  }
  await pollUntil(() => programs.every(({ process: one }) => !isAlive(one)) || undefined, {
    timeoutMs: KILL_TIMEOUT_MS,
    intervalMs: LOOK_INTERVAL_MS,
    what: 'end of programs that were killed',
  });
}
