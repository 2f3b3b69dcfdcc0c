/** Records of one kind, as JSON by id. Each is checked when it is read: a plane must not act on half a record. */
import type { Static, TSchema } from 'typebox';
import { Value } from 'typebox/value';
import { OffloadError } from '../../platform/errors.ts';
import type { Database } from './database.ts';

export interface Documents<T> {
  put(id: string, value: T): void;
  get(id: string): T | undefined;
  delete(id: string): void;
  list(): { id: string; value: T }[];
}

export function openDocuments<S extends TSchema>(
  database: Database,
  kind: string,
  schema: S,
): Documents<Static<S>> {
  const put = database.prepare(
    'INSERT INTO documents (kind, id, body) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET body = excluded.body',
  );
  const get = database.prepare('SELECT body FROM documents WHERE kind = ? AND id = ?');
  const remove = database.prepare('DELETE FROM documents WHERE kind = ? AND id = ?');
  const list = database.prepare('SELECT id, body FROM documents WHERE kind = ? ORDER BY id');

  function parse(id: string, body: unknown): Static<S> {
    const value: unknown = JSON.parse(String(body));
    if (Value.Check(schema, value)) return value as Static<S>;
    const [problem] = Value.Errors(schema, value);
    const where = problem ? ` (${problem.instancePath || '/'}: ${problem.message})` : '';
    throw new OffloadError(
      'unusable_state',
      `read ${kind} ${id}: the record does not fit its schema${where}`,
    );
  }

  return {
    put: (id, value) => void put.run(kind, id, JSON.stringify(value)),
    get(id) {
      const row = get.get(kind, id);
      return row ? parse(id, row.body) : undefined;
    },
    delete: (id) => void remove.run(kind, id),
    list: () => list.all(kind).map((row) => ({ id: String(row.id), value: parse(String(row.id), row.body) })),
  };
}
