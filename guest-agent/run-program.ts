/** Outside programs of the agent: run to the end, with a deadline, and a one-line error that names them. */
import { execa } from 'execa';
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

/** @throws {OffloadError} runtime_failed with the end of what the program said, or deadline_exceeded */
export const runProgram: RunProgram = async (command, args, options = {}) => {
  const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  const result = await execa(command, args, {
    reject: false,
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
    maxBuffer: MAX_OUTPUT_BYTES,
    ...(options.input === undefined ? { stdin: 'ignore' as const } : { input: options.input }),
    ...(options.env ? { env: options.env } : {}),
  });
  if (result.timedOut) {
    throw new OffloadError('deadline_exceeded', `${command} ${args[0] ?? ''}: no end within ${timeoutMs} ms`);
  }
  if (result.failed) {
    const said = (result.stderr || result.stdout || result.shortMessage || '').trim().slice(-400);
    throw new OffloadError('runtime_failed', `${command} ${args[0] ?? ''}: ${said}`);
  }
  return result.stdout;
};
