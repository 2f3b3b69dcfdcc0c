/**
 * conmon of an exec: as a container's, it holds the standard files of one program and leaves its exit code
 * as a file, so that an exec outlives the agent. It tells when its attach socket is there, and starts the
 * program only when told to: so no output is lost.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Duplex, Readable } from 'node:stream';
import { withDeadline } from '../../platform/deadline.ts';
import { OffloadError } from '../../platform/errors.ts';
import { CONMON, killMonitor, readVerdict } from './conmon.ts';
import { CRUN, crunGlobalArgs } from './crun.ts';
import { runtimeFailure } from './runtime-failure.ts';

export interface ConmonExecOptions {
  container: string;
  exec: string;
  /** The exec's own: conmon puts its sockets there. */
  directory: string;
  crunRoot: string;
  terminal: boolean;
  openStdin: boolean;
  timeoutMs: number;
  /** Called before the program starts. */
  attach: () => Promise<void>;
  /** Default: Debian's. */
  program?: string | undefined;
}

export const execPaths = (directory: string, container: string) => ({
  process: join(directory, 'process.json'),
  record: join(directory, 'record.json'),
  pidFile: join(directory, 'pid'),
  conmonPidFile: join(directory, 'conmon.pid'),
  attachSocket: join(directory, 'attach'),
  control: join(directory, 'ctl'),
  log: join(directory, 'log'),
  exits: join(directory, 'exits'),
  exit: join(directory, 'exits', container),
});

function conmonExecArgs(options: ConmonExecOptions): string[] {
  const { container, exec, directory } = options;
  const own = execPaths(directory, container);
  return [
    ...['--api-version', '1', '--cid', container, '--cuuid', exec, '--name', exec],
    ...['--runtime', CRUN, '--bundle', directory, '--full-attach'],
    ...['--container-pidfile', own.pidFile, '--conmon-pidfile', own.conmonPidFile],
    ...['--exit-dir', own.exits, ...logArgs(options.terminal, own.log)],
    ...['--exec', '--exec-attach', '--exec-process-spec', own.process],
    // A terminal's input needs no pipe, and outlives whoever was attached.
    ...(options.terminal ? ['--terminal'] : options.openStdin ? ['--stdin'] : []),
    ...crunGlobalArgs(options.crunRoot).flatMap((arg) => ['--runtime-arg', arg]),
  ];
}

/** Of a terminal's output so much is kept that the next agent can show what was on the screen. */
const SCREEN_BYTES = 128 * 1024;

const logArgs = (terminal: boolean, log: string) =>
  terminal
    ? ['--log-path', `k8s-file:${log}`, '--log-size-max', String(SCREEN_BYTES), '--no-sync-log']
    : ['--log-path', 'none:'];

/**
 * Starts the program and waits for conmon's verdict.
 * @returns its pid in the guest
 * @throws {OffloadError} runtime_failed with crun's message, or what it says of the program; deadline_exceeded
 */
export async function runConmonExec(options: ConmonExecOptions): Promise<number> {
  const what = `exec in container ${options.container}`;
  const own = execPaths(options.directory, options.container);
  const child = spawn(options.program ?? CONMON, conmonExecArgs(options), {
    stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe', 'pipe'],
    env: { ...process.env, _OCI_SYNCPIPE: '3', _OCI_STARTPIPE: '4', _OCI_ATTACHPIPE: '5' },
  });
  const failed = once(child, 'error').then(([error]) => {
    throw new OffloadError('runtime_failed', `${what}: ${(error as Error).message}`);
  });
  const pipes = child.stdio.slice(3) as [Readable, Duplex, Readable];
  const [sync, start, attached] = pipes;
  for (const pipe of pipes) pipe.on('error', () => pipe.destroy());
  const verdictOf = async () => {
    start.write('.');
    await readVerdict(attached, what);
    await options.attach();
    start.write('.');
    return readVerdict(sync, what);
  };
  try {
    const verdict = await withDeadline(Promise.race([verdictOf(), failed]), options.timeoutMs, what);
    if (verdict.data > 0) return verdict.data;
    throw runtimeFailure(verdict.message ?? `${what}: exit code ${-verdict.data}`);
  } catch (error) {
    child.kill('SIGKILL');
    await killMonitor(own.conmonPidFile);
    throw error;
  } finally {
    for (const pipe of pipes) pipe.destroy();
  }
}
