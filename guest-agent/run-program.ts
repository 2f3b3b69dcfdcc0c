/**
 * Outside programs of the agent: run to the end, with a deadline, and a one-line error that names them.
 * On Node's own child processes: a library for them costs each guest 4 MiB, and each start of a container
 * a good part of the time that its programs take.
 */
import { type ExecFileException, execFile } from 'node:child_process';
import { OffloadError } from '../platform/errors.ts';

export interface RunOptions {
  timeoutMs?: number;
  input?: string;
  env?: Record<string, string>;
}
/** Runs a program and gives what it printed. Injected, so that tests can put little executables in its place. */
export type RunProgram = (command: string, args: readonly string[], options?: RunOptions) => Promise<string>;

const DEFAULT_TIMEOUT_MS = 60_000;
const MAX_OUTPUT_BYTES = 1024 * 1024;
/** Of what a failed program said, the end. */
const MAX_WORDS_LENGTH = 400;

/** @throws {OffloadError} runtime_failed with the end of what the program said, or deadline_exceeded */
export const runProgram: RunProgram = (command, args, options = {}) => {
  const { timeoutMs = DEFAULT_TIMEOUT_MS, input = '' } = options;
  const env = { ...process.env, ...options.env };
  const limits = { timeout: timeoutMs, killSignal: 'SIGKILL', maxBuffer: MAX_OUTPUT_BYTES } as const;
  return new Promise((resolve, reject) => {
    const child = execFile(command, args, { ...limits, env }, (error, stdout, stderr) => {
      if (error) reject(failureOf(error, `${command} ${args[0] ?? ''}`, stderr || stdout, timeoutMs));
      else resolve(stdout.replace(/\n$/, ''));
    });
    // A program need not read its input.
    child.stdin?.on('error', () => {});
    child.stdin?.end(input);
  });
};

function failureOf(error: ExecFileException, what: string, said: string, timeoutMs: number): OffloadError {
  // Node kills for two reasons, and names one of them.
  if (error.killed && typeof error.code !== 'string') {
    return new OffloadError('deadline_exceeded', `${what}: no end within ${timeoutMs} ms`);
  }
  const words = said.trim().slice(-MAX_WORDS_LENGTH) || endOf(error);
  return new OffloadError('runtime_failed', `${what}: ${words}`);
}

/** A string for what kept it from running or being read, a number for its exit code. */
function endOf({ code, signal, message }: ExecFileException): string {
  if (typeof code === 'number') return `ended with exit code ${code}`;
  return signal ? `ended by ${signal}` : message;
}
