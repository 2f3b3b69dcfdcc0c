/** Where an import works: a directory of its own, a deadline, and a place among a limited number. */
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { OffloadError } from '../../platform/errors.ts';
import { importError } from './import-error.ts';
import type { ImportContext, ImportProgress } from './import-image.ts';
import type { ImageLimits } from './limits.ts';
import { STAGING_PREFIX } from './load-images.ts';
import type { RunTool } from './run-tool.ts';

/** How a change that takes long is followed and ended. */
export interface ChangeControl {
  signal?: AbortSignal | undefined;
  onProgress?: ((progress: ImportProgress) => void) | undefined;
}

export interface Staging {
  /** The directory is gone when the work is over, whatever comes of it. */
  within<T>(
    subject: string,
    control: ChangeControl,
    work: (directory: string, context: ImportContext) => Promise<T>,
  ): Promise<T>;
  /** Ends what is under way and waits for it to clean up. */
  close(): Promise<void>;
}

/** @param directory below which each has one of its own */
export function createStaging(directory: string, limits: ImageLimits, run: RunTool): Staging {
  const closing = new AbortController();
  const underWay = new Set<Promise<unknown>>();

  async function within<T>(
    subject: string,
    { signal: cancel, onProgress = () => {} }: ChangeControl,
    work: (directory: string, context: ImportContext) => Promise<T>,
  ): Promise<T> {
    if (underWay.size >= limits.importCountMax) {
      throw new OffloadError(
        'invalid_state',
        `${subject}: ${underWay.size} imports are waiting, the limit is ${limits.importCountMax} imports`,
      );
    }
    const deadline = new AbortController();
    const timeout = `${subject}: no end within ${limits.importTimeoutMs} ms`;
    const timer = setTimeout(
      () => deadline.abort(new OffloadError('deadline_exceeded', timeout)),
      limits.importTimeoutMs,
    );
    const signal = AbortSignal.any([closing.signal, deadline.signal, ...(cancel ? [cancel] : [])]);
    const done = perform();
    underWay.add(done);
    try {
      return await done;
    } catch (error) {
      throw importError(error, subject, signal);
    } finally {
      clearTimeout(timer);
      underWay.delete(done);
    }

    async function perform(): Promise<T> {
      signal.throwIfAborted();
      const own = await mkdtemp(join(directory, STAGING_PREFIX));
      try {
        return await work(own, { subject, limits, run, signal, onProgress });
      } finally {
        await rm(own, { recursive: true, force: true, maxRetries: 3 });
      }
    }
  }

  return {
    within,
    async close() {
      closing.abort(new OffloadError('invalid_state', 'import image: the image store is closing'));
      await Promise.allSettled(underWay);
    },
  };
}
