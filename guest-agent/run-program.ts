/**
 * Outside programs of the agent: run to the end, with a deadline, and a one-line error that names them.
 * On Node's own child processes: a library for them costs each guest 4 MiB, and each start of a container
 * a good part of the time that its programs take; so does a pipe for input that nobody gives.
 */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
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
  const { timeoutMs = DEFAULT_TIMEOUT_MS, input } = options;
  const what = `${command} ${args[0] ?? ''}`;
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
      env: options.env ? { ...process.env, ...options.env } : process.env,
    }) as ChildProcessByStdio<Writable | null, Readable, Readable>;
    const cutOff = (error: OffloadError) => {
      reject(error);
      child.kill('SIGKILL');
      // What it has started may hold the other ends.
      child.stdout.destroy();
      child.stderr.destroy();
    };
    const timer = setTimeout(() => {
      cutOff(new OffloadError('deadline_exceeded', `${what}: no end within ${timeoutMs} ms`));
    }, timeoutMs);
    const tooMuch = () => cutOff(failure(what, `printed over ${MAX_OUTPUT_BYTES} bytes`));
    const [printed, complained] = [child.stdout, child.stderr].map((pipe) => collect(pipe, tooMuch));
    child.once('error', (error) => reject(failure(what, error.message)));
    child.once('close', (exitCode, signal) => {
      clearTimeout(timer);
      if (exitCode === 0) resolve(printed!().replace(/\n$/, ''));
      else reject(failure(what, complained!() || printed!(), endOf(exitCode, signal)));
    });
    // A program need not read its input.
    child.stdin?.on('error', () => {});
    child.stdin?.end(input);
  });
};

/** @returns what gives the text so far */
function collect(pipe: Readable, tooMuch: () => void): () => string {
  const chunks: Buffer[] = [];
  let bytes = 0;
  pipe.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes <= MAX_OUTPUT_BYTES) chunks.push(chunk);
    else tooMuch();
  });
  return () => Buffer.concat(chunks).toString();
}

const failure = (what: string, said: string, otherwise = ''): OffloadError =>
  new OffloadError('runtime_failed', `${what}: ${said.trim().slice(-MAX_WORDS_LENGTH) || otherwise}`);

const endOf = (exitCode: number | null, signal: NodeJS.Signals | null): string =>
  signal ? `ended by ${signal}` : `ended with exit code ${exitCode}`;
