/**
 * A request that is sent again, because its answer was lost, gets the first answer, and nothing is done again:
 * also while the first is still being worked on. Answers are kept for a while, and only so many.
 */
import { OffloadError, toOffloadError } from '../platform/errors.ts';

export interface RequestAnswersOptions {
  nowMs: () => number;
  /** Default: 10 minutes. */
  keptMs?: number;
  /** Default: 1024. Those that are being worked on are not counted. */
  keptAnswers?: number;
}

interface Known {
  /** What was asked for: an id names one request. */
  subject: string;
  answer: Promise<unknown>;
  endedAtMs?: number;
}

const KEPT_MS = 600_000;
const KEPT_ANSWERS = 1_024;

export function createRequestAnswers({
  nowMs,
  keptMs = KEPT_MS,
  keptAnswers = KEPT_ANSWERS,
}: RequestAnswersOptions) {
  /** In the order in which they ended; those that have not are at any place. */
  const known = new Map<string, Known>();

  function forgetOld(): void {
    const ended = [...known].filter(([, { endedAtMs }]) => endedAtMs !== undefined);
    const tooMany = ended.length - keptAnswers;
    for (const [index, [id, { endedAtMs = 0 }]] of ended.entries()) {
      if (index < tooMany || nowMs() - endedAtMs >= keptMs) known.delete(id);
    }
  }

  return {
    /**
     * @param id undefined: done whenever it is asked for
     * @throws {OffloadError} what `act` throws; invalid_request for an id of another request
     */
    async once<T>(id: string | undefined, subject: string, act: () => Promise<T>): Promise<T> {
      if (id === undefined) return act();
      forgetOld();
      const first = known.get(id);
      if (first) {
        if (first.subject === subject) return (await first.answer) as T;
        throw new OffloadError(
          'invalid_request',
          `${subject}: request id ${id} was taken before, by ${first.subject}`,
        );
      }
      // The error is kept as well, without what it was caused by.
      const answer = act().catch((error: unknown) => {
        const { code, message } = toOffloadError(error, subject);
        throw new OffloadError(code, message);
      });
      const entry: Known = { subject, answer };
      known.set(id, entry);
      try {
        return await answer;
      } finally {
        entry.endedAtMs = nowMs();
        known.delete(id);
        known.set(id, entry);
      }
    },
    get size(): number {
      return known.size;
    },
  };
}
export type RequestAnswers = ReturnType<typeof createRequestAnswers>;
