/** Whoever asked for a checkpoint may change their mind until it is committed. */
import { OffloadError } from '../../platform/errors.ts';
import { MIB } from '../../platform/units.ts';

export interface Following {
  /** Aborted when it shall not go on: the container runs on, and nothing is kept. */
  signal?: AbortSignal | undefined;
  /** Told how far it is. */
  progress?: ((text: string, fraction?: number) => void) | undefined;
}

export const cancelled = (what: string) => new OffloadError('cancelled', `${what}: it was cancelled`);

/** @throws {OffloadError} cancelled */
export function expectGoingOn(signal: AbortSignal | undefined, what: string): void {
  if (signal?.aborted) throw cancelled(what);
}

/** The work's answer, or at once that it was cancelled; the work itself goes on until somebody ends it. */
export async function unlessCancelled<T>(
  work: Promise<T>,
  signal: AbortSignal | undefined,
  what: string,
): Promise<T> {
  if (signal === undefined) return await work;
  const { promise, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(cancelled(what));
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  work.catch(() => undefined);
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

const PROGRESS_INTERVAL_MS = 500;

/** Tells how many pages have come, now and then. */
export function pageProgress({ progress }: Following, nowMs: () => number = () => performance.now()) {
  let toldMs = Number.NEGATIVE_INFINITY;
  return (pageCount: number): void => {
    if (progress === undefined || nowMs() - toldMs < PROGRESS_INTERVAL_MS) return;
    toldMs = nowMs();
    progress(`${pageCount} pages`);
  };
}

/** Tells of each whole MiB that has gone by, and of the share of the whole where that is known. */
export function byteProgress({ progress }: Following, verb: string, totalBytes?: number) {
  let doneBytes = 0;
  let told = -1;
  return (bytes: number): void => {
    doneBytes += bytes;
    const whole = Math.floor(doneBytes / MIB);
    if (whole === told) return;
    told = whole;
    if (!totalBytes) progress?.(`${verb}: ${whole} MiB`);
    else progress?.(`${verb}: ${whole} of ${Math.ceil(totalBytes / MIB)} MiB`, doneBytes / totalBytes);
  };
}
