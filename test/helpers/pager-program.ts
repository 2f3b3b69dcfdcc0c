/** The pager and what is built beside it, as programs that a test runs. */
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { execa } from 'execa';
import { makeIn } from '../../testbed/native/programs.ts';

const SOURCES = join(import.meta.dirname, '../../guest-agent/pager');
const built = (path: string) => join(SOURCES, 'build', path);
export const ASAN_PAGER = built('asan/offload-pager');
export const PAGER = process.env.PAGER_ASAN ? ASAN_PAGER : built('offload-pager');
/** Kills itself at points of its own choice; see guest-agent/pager/test/settle-or-die.c. */
export const DYING_PAGER = built('dying/offload-pager');
export const MEMCHECK = built('offload-memcheck');
export const HEAP = built('test/heap');
export const UNIT_TESTS = [built('test/unit'), built('test/unit-asan')];
/** With the libc of the root it runs in. */
export const DYNAMIC_HEAP = built('test/heap-dynamic');
/** Longer than any test waits for it to end. */
const PAGER_TIMEOUT_MS = 300_000;

export const make = (...goals: readonly string[]): Promise<string> => makeIn(SOURCES, ...goals);

export async function buildPrograms(): Promise<void> {
  await make('all', 'heap', 'dying', ...(process.env.PAGER_ASAN ? ['asan'] : []));
}

export interface RunningPager {
  /** Settles when the pager has printed `ready`, or fails with what it said instead. */
  ready: Promise<void>;
  ended: Promise<{ exitCode: number | undefined; stderr: string }>;
  kill(signal: NodeJS.Signals): void;
  /** The supervisor's. */
  pid: number;
}

export function startPager(
  args: readonly string[],
  program = PAGER,
  env: Record<string, string> = {},
): RunningPager {
  const options = { reject: false, timeout: PAGER_TIMEOUT_MS, killSignal: 'SIGKILL', env } as const;
  const subprocess = execa(program, args, options);
  const lines = createInterface({ input: subprocess.stdout });
  const ready = new Promise<void>((resolve, reject) => {
    lines.once('line', (line) => (line === 'ready' ? resolve() : reject(new Error(line))));
    lines.once('close', () => reject(new Error('the pager ended before it was ready')));
  });
  ready.catch(() => {});
  const ended = subprocess.then(({ exitCode, stderr }) => ({ exitCode, stderr }));
  return { ready, ended, kill: (signal) => subprocess.kill(signal), pid: subprocess.pid! };
}

/** The numbers of the pager's closing line. */
export function countersOf(stderr: string): Record<string, number> {
  const line = stderr.split('\n').find((text) => text.includes(': done ')) ?? '';
  return Object.fromEntries([...line.matchAll(/(\w+)=(\d+)/g)].map((match) => [match[1], Number(match[2])]));
}
