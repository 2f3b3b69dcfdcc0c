/** Looks after a program that writes into a directory of ours: how much it writes, and whether it goes on. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { OffloadError } from '../../platform/errors.ts';

const LOOK_INTERVAL_MS = 200;

export interface GrowthOptions {
  /** Operation and subject, for messages. */
  subject: string;
  directory: string;
  /** More than this in the directory ends the work. */
  bytesMax: number;
  /** No byte more for so long ends the work. */
  stallTimeoutMs: number;
  nowMs: () => number;
  signal: AbortSignal;
  onBytes: (byteCount: number) => void;
}

/** Gives the work a signal that also fires when what it writes is too much or comes to a standstill. */
export async function watchGrowth<T>(
  options: GrowthOptions,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const { subject, bytesMax, stallTimeoutMs, nowMs } = options;
  const ended = new AbortController();
  let lastBytes = -1;
  let lastGrowthMs = nowMs();

  async function look(): Promise<void> {
    const bytes = await bytesBelow(options.directory);
    if (bytes > lastBytes) {
      lastBytes = bytes;
      lastGrowthMs = nowMs();
      options.onBytes(bytes);
    }
    if (bytes > bytesMax) {
      const message = `${subject}: more than the ${bytesMax} bytes that were said`;
      ended.abort(new OffloadError('invalid_image', message));
    } else if (nowMs() - lastGrowthMs > stallTimeoutMs) {
      ended.abort(new OffloadError('deadline_exceeded', `${subject}: nothing came for ${stallTimeoutMs} ms`));
    }
  }

  let looking: Promise<void> | undefined;
  const timer = setInterval(() => {
    looking ??= look().finally(() => {
      looking = undefined;
    });
  }, LOOK_INTERVAL_MS);
  try {
    return await work(AbortSignal.any([options.signal, ended.signal]));
  } catch (error) {
    throw ended.signal.aborted ? ended.signal.reason : error;
  } finally {
    clearInterval(timer);
    await looking;
  }
}

/** What is there now; files may go while it is counted. */
async function bytesBelow(directory: string): Promise<number> {
  const entries = await readdir(directory, { withFileTypes: true, recursive: true }).catch(() => []);
  const files = entries.filter((entry) => entry.isFile());
  const sizes = await Promise.all(
    files.map((file) =>
      stat(join(file.parentPath, file.name)).then(
        ({ size }) => size,
        () => 0,
      ),
    ),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}
