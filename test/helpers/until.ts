/** Waits for a condition; a test that waits in vain fails with its name. */
import { pollUntil } from '../../platform/deadline.ts';

export async function until(what: string, condition: () => unknown): Promise<void> {
  const attempt = async () => ((await condition()) ? true : undefined);
  await pollUntil(attempt, { timeoutMs: 30_000, intervalMs: 2, what });
}
