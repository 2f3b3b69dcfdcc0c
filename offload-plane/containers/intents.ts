/**
 * What the plane has set out to do to containers, on disk before an agent hears of it. One that is still
 * there when a plane starts was cut off: it is finished or rolled back once its guest is reached.
 */
import type { KeyOfIntent } from '../operations/answers.ts';
import type { Database } from '../state/database.ts';

export type Intent = {
  /** Under which the agent does its calls once only. */
  request: string;
  container: string;
  /** Of a checkpoint: the operation that ends with it. */
  operation?: string;
} & KeyOfIntent &
  Verb;

export type Verb =
  | { verb: 'create' | 'start' | 'pause' | 'resume' | 'remove' }
  /** Until its last page is in place. */
  | { verb: 'restore' }
  | { verb: 'kill'; signal: string }
  | { verb: 'stop'; signal: string; graceMs: number; thenStart: boolean }
  | { verb: 'checkpoint'; checkpoint: string; after: 'stop' | 'resume'; sinceMs: number }
  /** What is left of a container in a guest that could not be told. */
  | { verb: 'discard'; guest: string }
  /** Its name was given to the one that takes its place. */
  | { verb: 'move'; name: string }
  /** Out of its guest: it is stopped with this checkpoint, and another takes its place in `target`. */
  | { verb: 'drain'; checkpoint: string; target: string; sinceMs: number };

export type IntentOf<V extends Intent['verb']> = Extract<Intent, { verb: V }>;

export function openIntents(database: Database, wallMs: () => number) {
  const insert = database.prepare(
    'INSERT INTO intents (request, container, body, createdAtMs) VALUES (?, ?, ?, ?)',
  );
  const remove = database.prepare('DELETE FROM intents WHERE request = ?');
  const list = database.prepare('SELECT body FROM intents ORDER BY createdAtMs, request');
  return {
    begin: (intent: Intent) =>
      void insert.run(intent.request, intent.container, JSON.stringify(intent), Math.round(wallMs())),
    end: (request: string) => void remove.run(request),
    list: (): Intent[] => list.all().map(({ body }) => JSON.parse(String(body)) as Intent),
  };
}
