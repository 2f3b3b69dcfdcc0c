/** Deadlines: every wait has one, and its message says what was waited for and for how long. */
import { OffloadError } from './errors.ts';

/**
 * @param what the wait as a user would name it, e.g. `restore web-1: wait for the pager`
 * @throws {OffloadError} deadline_exceeded after timeoutMs
 */
export async function withDeadline<T>(promise: Promise<T>, timeoutMs: number, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const expired = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new OffloadError('deadline_exceeded', `${what}: no answer within ${timeoutMs} ms`)),
      timeoutMs,
    );
  });
  try {
    return await Promise.race([promise, expired]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Tries `attempt` until it gives something other than undefined; once more when the time is over, as this process may
 * have stood still meanwhile.
 * @throws {OffloadError} deadline_exceeded after timeoutMs, with the last error as its cause
 */
export async function pollUntil<T>(
  attempt: () => Promise<T | undefined> | T | undefined,
  options: { timeoutMs: number; intervalMs: number; what: string },
): Promise<T> {
  const endMs = performance.now() + options.timeoutMs;
  let lastError: unknown;
  for (let isOver = false; !isOver; ) {
    isOver = performance.now() >= endMs;
    try {
      const value = await attempt();
      if (value !== undefined) return value;
    } catch (error) {
      lastError = error;
    }
    if (!isOver) await new Promise((resolve) => setTimeout(resolve, options.intervalMs));
  }
  const cause = lastError instanceof Error ? ` (${lastError.message})` : '';
  throw new OffloadError('deadline_exceeded', `${options.what}: not within ${options.timeoutMs} ms${cause}`, {
    cause: lastError,
  });
}
