/**
 * conmon, the container monitor podman and CRI-O use: one small process a container that holds its stdio,
 * writes its log, reaps it and leaves its exit code as a file, so that a container outlives the agent.
 */
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { withDeadline } from '../../platform/deadline.ts';
import { OffloadError } from '../../platform/errors.ts';
import type { ContainerPaths } from '../paths.ts';
import { CRUN, crunGlobalArgs } from './crun.ts';
import { runtimeFailure } from './runtime-failure.ts';

export const CONMON = '/usr/bin/conmon';
const LOG_MAX_BYTES = 16 * 1024 * 1024;

export interface ConmonOptions {
  id: string;
  paths: ContainerPaths;
  crunRoot: string;
  exitDirectory: string;
  /** CRIU's images: restore instead of create. */
  restoreFrom?: string;
  /** The container's standard files are a terminal, which conmon holds the other end of. */
  terminal?: boolean;
  /** Its standard input is a pipe or that terminal, not /dev/null. */
  openStdin?: boolean;
  timeoutMs: number;
  /** Default: Debian's. */
  program?: string;
}

export function conmonArgs(options: ConmonOptions): string[] {
  const { id, paths } = options;
  return [
    '--api-version',
    '1',
    '--cid',
    id,
    '--cuuid',
    id,
    '--name',
    id,
    '--runtime',
    CRUN,
    '--bundle',
    paths.bundle,
    '--container-pidfile',
    paths.pidFile,
    '--conmon-pidfile',
    paths.conmonPidFile,
    '--exit-dir',
    options.exitDirectory,
    '--persist-dir',
    paths.data,
    '--log-path',
    `k8s-file:${paths.log}`,
    '--log-size-max',
    String(LOG_MAX_BYTES),
    '--no-sync-log',
    '--socket-dir-path',
    paths.bundle,
    '--full-attach',
    ...(options.terminal ? ['--terminal'] : []),
    // Of a terminal conmon would close the input when the agent goes, for good; it takes input without.
    // A pipe it closes when any connection to it ends. With --leave-stdin-open it would outlive the agent, but
    // then nothing at all could end the input: conmon knows no other word for that.
    ...(options.openStdin && !options.terminal ? ['--stdin'] : []),
    ...crunGlobalArgs(options.crunRoot).flatMap((arg) => ['--runtime-arg', arg]),
    ...(options.restoreFrom
      ? ['--restore', options.restoreFrom, '--runtime-opt', '--tcp-close', '--runtime-opt', '--file-locks']
      : []),
  ];
}

/**
 * Starts conmon, which runs `crun create` or `crun restore`, and waits for its verdict on fd 3.
 * @returns the container's pid in the guest
 * @throws {OffloadError} runtime_failed with crun's message, or what it says of the program; deadline_exceeded
 */
export async function runConmon(options: ConmonOptions): Promise<number> {
  const verb = options.restoreFrom ? 'restore' : 'create';
  const child = spawn(options.program ?? CONMON, conmonArgs(options), {
    // conmon forks itself away; its parent's pipes stay open in the monitor, so only fd 3 is waited for.
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
    env: { ...process.env, _OCI_SYNCPIPE: '3' },
  });
  // One that cannot be started ends its pipes as well, and so has no verdict.
  child.on('error', () => {});
  child.stderr?.resume();
  const pipe = child.stdio[3] as Readable;
  try {
    const verdict = await withDeadline(
      readVerdict(pipe, options.id),
      options.timeoutMs,
      `crun ${verb} ${options.id}`,
    );
    if (verdict.data > 0) return verdict.data;
    const reason = verdict.message ?? `exit code ${-verdict.data}`;
    throw runtimeFailure(`crun ${verb} ${options.id}: ${reason}`);
  } catch (error) {
    if (error instanceof OffloadError && error.code === 'deadline_exceeded') {
      child.kill('SIGKILL');
      await killMonitor(options.paths.conmonPidFile);
    }
    throw error;
  } finally {
    pipe.destroy();
    child.stderr?.destroy();
  }
}

/** The monitor leads a session of its own (setsid); crun and CRIU below it go with it. */
export async function killMonitor(pidFile: string): Promise<void> {
  const pid = Number(await readFile(pidFile, 'utf8').catch(() => ''));
  if (!Number.isInteger(pid) || pid <= 1) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It ended meanwhile.
  }
}

interface Verdict {
  data: number;
  message?: string;
}

const MAX_VERDICT_BYTES = 64 * 1024;

/** conmon's sync pipe: one JSON line, `{"data": pid}` or `{"data": -exit, "message": "…"}`. */
export async function readVerdict(pipe: Readable, id: string): Promise<Verdict> {
  let text = '';
  for await (const chunk of pipe) {
    text += chunk.toString();
    if (text.includes('\n') || text.length > MAX_VERDICT_BYTES) break;
  }
  // An exec that has ended already is told of in a second line.
  const [line = ''] = text.split('\n', 1);
  try {
    return JSON.parse(line) as Verdict;
  } catch {
    throw new OffloadError('runtime_failed', `conmon ${id}: ended without a verdict (${text.slice(0, 200)})`);
  }
}
