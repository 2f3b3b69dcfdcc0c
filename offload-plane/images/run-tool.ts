/** Runs umoci, mkfs.erofs, skopeo and mke2fs; injected, so that tests can put little executables in their place. */
import { execa } from 'execa';
import { OffloadError } from '../../platform/errors.ts';

export interface RunToolOptions {
  cwd?: string;
  env?: Record<string, string>;
  timeoutMs: number;
  signal?: AbortSignal;
}

/** Gives what the tool printed on stdout, byte for byte where it is UTF-8. */
export type RunTool = (file: string, args: readonly string[], options: RunToolOptions) => Promise<string>;

const OUTPUT_BYTES_MAX = 4 * 1024 * 1024;
/** Debian keeps some tools where a plain user's path does not lead. */
const SBIN_PATH = { PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin` };
/** Enough of stderr for the cause, short enough for one line. */
const CAUSE_CHARACTERS_MAX = 400;

/** @throws {OffloadError} deadline_exceeded, no_space, or runtime_failed with the end of what the tool said */
export const runTool: RunTool = async (file, args, options) => {
  const what = `${file} ${args[0] ?? ''}`.trim();
  // setpriv: not even a kill -9 of this process leaves the tool running.
  const result = await execa('setpriv', ['--pdeathsig', 'KILL', '--', file, ...args], {
    reject: false,
    stdin: 'ignore',
    stripFinalNewline: false,
    timeout: options.timeoutMs,
    killSignal: 'SIGKILL',
    maxBuffer: OUTPUT_BYTES_MAX,
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    env: { ...SBIN_PATH, ...options.env },
    ...(options.signal === undefined ? {} : { cancelSignal: options.signal }),
  });
  if (!result.failed) return result.stdout;
  if (result.isCanceled) {
    const reason: unknown = options.signal?.reason;
    throw reason instanceof OffloadError
      ? reason
      : new OffloadError('cancelled', `${what}: it was cancelled`);
  }
  if (result.timedOut) {
    throw new OffloadError('deadline_exceeded', `${what}: no end within ${options.timeoutMs} ms`);
  }
  const said = (result.stderr || result.stdout || result.shortMessage || 'failed')
    .trim()
    .slice(-CAUSE_CHARACTERS_MAX);
  const noSpace = /no space left on device/i.test(said);
  throw new OffloadError(noSpace ? 'no_space' : 'runtime_failed', `${what}: ${said}`);
};
