/**
 * Outside programs: start one, wait for its end, or run one to its end.
 *
 * Everything long-lived is started through `setpriv --pdeathsig KILL`, so that even `kill -9` of this
 * process takes its children along. The kernel sends that signal when the *thread* that forked goes away:
 * start children from the main thread only.
 */
import { closeSync, openSync } from 'node:fs';
import { execa } from 'execa';
import { processStartTicks } from './process-identity.ts';

export { isProcessAlive, processStartTicks } from './process-identity.ts';

/** How a process ended: exactly one of the two is set, or neither when it could not be started. */
export interface ProcessEnd {
  exitCode: number | undefined;
  signal: NodeJS.Signals | undefined;
  /** Why the program could not be started (for example ENOENT). */
  startError?: string;
}

export interface StartOptions {
  cwd?: string;
  /** Added to this process's environment. */
  env?: Record<string, string>;
  /** File that takes standard output and standard error, appended to; without it both are dropped. */
  logPath?: string;
  /** Whether the kernel kills the child when this process dies. True unless said otherwise. */
  dieWithParent?: boolean;
}

export interface RunningProcess {
  pid: number;
  /** Kernel start time in clock ticks since boot: with the pid it names one process for ever. */
  startTicks: number;
  command: string;
  exited: Promise<ProcessEnd>;
  isRunning(): boolean;
  /** Sends a signal; false when the process is already gone. */
  kill(signal: NodeJS.Signals): boolean;
}

export type StartProcess = (command: string, args: string[], options?: StartOptions) => RunningProcess;

export interface RunOptions {
  cwd?: string;
  env?: Record<string, string>;
  timeoutMs?: number;
  /** Called with every line of standard output and standard error. */
  onLine?: (line: string) => void;
}

export type RunProcess = (command: string, args: string[], options?: RunOptions) => Promise<string>;

/** An outside program that ended badly; the message is one line: what ran, how it ended, its last words. */
class ProcessError extends Error {
  readonly end: ProcessEnd;
  constructor(message: string, end: ProcessEnd) {
    super(message);
    this.name = 'ProcessError';
    this.end = end;
  }
}

/** Says how a process ended in a few words, for error messages. */
export function describeEnd(end: ProcessEnd): string {
  if (end.startError) return `could not start: ${end.startError}`;
  return end.signal ? `killed by ${end.signal}` : `exit code ${end.exitCode}`;
}

/** Starts a long-lived program. Never throws for a missing program: `exited` says so. */
export const startProcess: StartProcess = (command, args, options = {}) => {
  const bound = options.dieWithParent !== false;
  const file = bound ? 'setpriv' : command;
  const fullArgs = bound ? ['--pdeathsig', 'KILL', '--', command, ...args] : args;
  const log = options.logPath ? openSync(options.logPath, 'a') : undefined;
  try {
    // execa's types know descriptors up to 9; any number is handed to the child as it is.
    const output = (log ?? 'ignore') as 'ignore';
    const child = execa(file, fullArgs, {
      stdin: 'ignore',
      stdout: output,
      stderr: output,
      buffer: false,
      reject: false,
      cleanup: false,
      ...(options.cwd ? { cwd: options.cwd } : {}),
      ...(options.env ? { env: options.env } : {}),
    });
    let running = true;
    const exited = Promise.resolve(child).then((result): ProcessEnd => {
      running = false;
      const startError = child.pid === undefined ? result.shortMessage : undefined;
      return {
        exitCode: result.exitCode,
        signal: result.signal as NodeJS.Signals | undefined,
        ...(startError ? { startError } : {}),
      };
    });
    const pid = child.pid ?? -1;
    return {
      pid,
      startTicks: processStartTicks(pid) ?? 0,
      command,
      exited,
      isRunning: () => running && pid > 0,
      kill: (signal) => running && pid > 0 && child.kill(signal),
    };
  } finally {
    if (log !== undefined) closeSync(log);
  }
};

/** Runs a program to its end and returns its standard output; throws a ProcessError otherwise. */
export const runProcess: RunProcess = async (command, args, options = {}) => {
  const { onLine, cwd, env, timeoutMs } = options;
  const child = execa('setpriv', ['--pdeathsig', 'KILL', '--', command, ...args], {
    stdin: 'ignore',
    reject: false,
    all: true,
    ...(cwd ? { cwd } : {}),
    ...(env ? { env } : {}),
    ...(timeoutMs ? { timeout: timeoutMs, killSignal: 'SIGKILL' as const } : {}),
  });
  if (onLine) for await (const line of child.iterable({ from: 'all' })) onLine(String(line));
  const result = await child;
  if (result.failed) {
    const end: ProcessEnd = {
      exitCode: result.exitCode,
      signal: result.signal as NodeJS.Signals | undefined,
    };
    const how = result.timedOut ? `took longer than ${timeoutMs} ms` : describeEnd(end);
    const lastWords = lastLines(String(result.all ?? ''), 5);
    throw new ProcessError(`${command}: ${how}${lastWords ? `: ${lastWords}` : ''}`, end);
  }
  return String(result.stdout ?? '');
};

/** The last few non-empty lines of a text joined into one, for error messages. */
export function lastLines(text: string, lineCount: number): string {
  const lines = text.split('\n').map((line) => line.trim());
  return lines
    .filter((line) => line !== '')
    .slice(-lineCount)
    .join(' | ');
}
