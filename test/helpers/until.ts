/** Waits for a condition; a test that waits in vain fails with its name. */
import { pollUntil } from '../../platform/deadline.ts';

/** Costs nothing where the condition comes. */
const TIMEOUT_MS = 120_000;

export async function until(what: string, condition: () => unknown): Promise<void> {
  const attempt = async () => ((await condition()) ? true : undefined);
  await pollUntil(attempt, { timeoutMs: TIMEOUT_MS, intervalMs: 2, what });
}
