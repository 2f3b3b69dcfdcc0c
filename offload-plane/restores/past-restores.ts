/** Restores on disk. One that was under way when its plane ended has failed: its container is removed. */
import { Type } from 'typebox';
import type { Database } from '../state/database.ts';
import { openDocuments } from '../state/documents.ts';
import type { RestoreView } from './restore.ts';

const Row = Type.Unsafe<RestoreView>(
  Type.Object({ id: Type.String(), phase: Type.String(), createdAt: Type.String() }),
);

const INTERRUPTED = {
  code: 'interrupted',
  message: 'the plane ended before every page was in place',
};

export function openPastRestores(database: Database, keptCount: number) {
  const rows = openDocuments(database, 'restore', Row);
  const views = new Map<string, RestoreView>();

  function load(): void {
    const all = rows.list().map(({ value }) => value);
    all.sort((a, b) => a.createdAt.localeCompare(b.createdAt));
    for (const view of all.splice(0, all.length - keptCount)) rows.delete(view.id);
    for (const view of all) {
      const isOver = view.phase === 'complete' || view.phase === 'failed';
      const ended: RestoreView = isOver ? view : { ...view, phase: 'failed', error: INTERRUPTED };
      if (!isOver) rows.put(view.id, ended);
      views.set(view.id, ended);
    }
  }
  database.transaction(load);

  return {
    get: (id: string): RestoreView | undefined => views.get(id),
    list: (): RestoreView[] => [...views.values()],
    keep: (view: RestoreView): void => rows.put(view.id, view),
    forget: (id: string): void => rows.delete(id),
    /** The highest number that was given out. */
    lastNumber: Math.max(0, ...[...views.keys()].map((id) => Number(/-(\d+)$/.exec(id)?.[1] ?? 0))),
  };
}
export type PastRestores = ReturnType<typeof openPastRestores>;
