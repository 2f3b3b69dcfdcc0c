/**
 * First answers by idempotency key, on disk: who repeats a request with its key gets the first answer, also
 * from a plane that was killed in between. A request that was cut off before its effect is done anew; one that
 * was cut off after it has left `result`, where its answer can be read.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { Database } from '../state/database.ts';

export interface Answer {
  status: number;
  headers: Record<string, string>;
  body: string;
}

/** What a request has made, when its answer was not written any more. */
export interface Result {
  status: number;
  /** Where GET gives it. */
  path: string;
}

/** What a step has made: itself, and the container by the way. */
export interface Made extends Result {
  containerPath?: string;
}

export type Known =
  | { phase: 'unknown' }
  | { phase: 'other_request' }
  | { phase: 'answered'; answer: Answer }
  | { phase: 'cut_off'; result?: Result };

/** For which request something is done. */
export interface KeyOfIntent {
  key?: string;
  /** It is a step of that, and not what was asked for. */
  isPart?: boolean;
  /** What was asked for, if it is not what the step itself gives. */
  asksFor?: 'container';
}

type Current = KeyOfIntent & { key: string; isPart: boolean };

const ANSWER_LIMITS = { maxCount: 10_000, maxAgeMs: 24 * 3_600_000, maxBodyCharacters: 256 * 1024 };

export function openAnswers(database: Database, nowMs: () => number, limits = ANSWER_LIMITS) {
  const get = database.prepare('SELECT fingerprint, answer, result FROM answers WHERE key = ?');
  const begin = database.prepare(
    'INSERT INTO answers (key, fingerprint, createdAtMs) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET fingerprint = excluded.fingerprint',
  );
  const setAnswer = database.prepare('UPDATE answers SET answer = ? WHERE key = ?');
  const setResult = database.prepare('UPDATE answers SET result = ? WHERE key = ?');
  const remove = database.prepare('DELETE FROM answers WHERE key = ?');
  const prune = database.prepare(
    'DELETE FROM answers WHERE createdAtMs < ? OR key IN (SELECT key FROM answers ORDER BY createdAtMs DESC LIMIT -1 OFFSET ?)',
  );
  const current = new AsyncLocalStorage<Current>();

  function keyOfIntent(): KeyOfIntent {
    const { key, isPart, asksFor } = current.getStore() ?? {};
    return {
      ...(key === undefined ? {} : { key }),
      ...(isPart ? { isPart } : {}),
      ...(asksFor ? { asksFor } : {}),
    };
  }

  function withStore<T>(change: Partial<Current>, work: () => T): T {
    const store = current.getStore();
    return store ? current.run({ ...store, ...change }, work) : work();
  }

  return {
    look(key: string, fingerprint: string): Known {
      const row = get.get(key);
      if (!row) return { phase: 'unknown' };
      if (row.fingerprint !== fingerprint) return { phase: 'other_request' };
      if (row.answer !== null) return { phase: 'answered', answer: JSON.parse(String(row.answer)) as Answer };
      return {
        phase: 'cut_off',
        ...(row.result === null ? {} : { result: JSON.parse(String(row.result)) as Result }),
      };
    },
    begin(key: string, fingerprint: string): void {
      database.transaction(() => {
        prune.run(nowMs() - limits.maxAgeMs, limits.maxCount);
        begin.run(key, fingerprint, Math.round(nowMs()));
      });
    },
    /** An answer that is too long is not kept, and the request would be done again. */
    keep(key: string, answer: Answer): void {
      if (answer.body.length > limits.maxBodyCharacters) remove.run(key);
      else setAnswer.run(JSON.stringify(answer), key);
    },
    forget: (key: string) => void remove.run(key),
    /** What runs within belongs to the request with this key. */
    within: <T>(key: string, work: () => T): T => current.run({ key, isPart: false }, work),
    /** What runs within is a step of the request's work: its result is not the request's. */
    asPart: <T>(work: () => T): T => withStore({ isPart: true }, work),
    /** What runs within gives the request its container, whatever else it gives. */
    forContainer: <T>(work: () => T): T => withStore({ asksFor: 'container' }, work),
    /**
     * To be called in the transaction of the effect.
     * @param request for which it was done, if it is not this one
     */
    noteResult({ containerPath, ...made }: Made, request: KeyOfIntent = keyOfIntent()): void {
      const { key, isPart, asksFor } = request;
      if (key === undefined || isPart) return;
      const result = asksFor === 'container' && containerPath ? { ...made, path: containerPath } : made;
      setResult.run(JSON.stringify(result), key);
    },
    /** Of the request that this runs for, to be kept with an intent. */
    keyOfIntent,
  };
}
export type Answers = ReturnType<typeof openAnswers>;
