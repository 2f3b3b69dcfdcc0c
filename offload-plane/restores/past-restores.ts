/** Restores on disk. One that was under way when its plane ended, and cannot go on, has failed: its container is removed. */
import { Type } from 'typebox';
import { OffloadError } from '../../platform/errors.ts';
import type { Database } from '../state/database.ts';
import { openDocuments } from '../state/documents.ts';
import type { RestoreView } from './restore.ts';
import type { TimelineView } from './timeline.ts';

const Row = Type.Unsafe<RestoreView>(
  Type.Object({ id: Type.String(), phase: Type.String(), createdAt: Type.String() }),
);

const TimelineRow = Type.Unsafe<TimelineView>(
  Type.Object({
    samples: Type.Array(Type.Object({ atMs: Type.Number() })),
    marks: Type.Array(Type.Object({ atMs: Type.Number(), mark: Type.String() })),
    ended: Type.Boolean(),
  }),
);

/** Of a restore whose plane ended first. */
const NO_TIMELINE: TimelineView = { samples: [], marks: [], ended: true };

const INTERRUPTED = new OffloadError('interrupted', 'the plane ended before every page was in place');

const isOver = ({ phase }: RestoreView): boolean => phase === 'complete' || phase === 'failed';

/** @param mayGoOn of those under way; each is taken out or has failed before long */
export function openPastRestores(
  database: Database,
  keptCount: number,
  mayGoOn: (id: string) => boolean = () => false,
) {
  const rows = openDocuments(database, 'restore', Row);
  const timelines = openDocuments(database, 'restore timeline', TimelineRow);
  const views = new Map<string, RestoreView>();

  function fail(view: RestoreView, { code, message }: OffloadError): void {
    const failed: RestoreView = { ...view, phase: 'failed', error: { code, message } };
    rows.put(view.id, failed);
    views.set(view.id, failed);
  }

  function load(): void {
    const all = rows.list().map(({ value }) => value);
    all.sort((a, b) => a.createdAt.localeCompare(b.createdAt));
    for (const view of all.splice(0, all.length - keptCount)) forget(view.id);
    for (const view of all) {
      views.set(view.id, view);
      if (!isOver(view) && !mayGoOn(view.id)) fail(view, INTERRUPTED);
    }
  }
  function forget(id: string): void {
    rows.delete(id);
    timelines.delete(id);
  }
  database.transaction(load);

  return {
    get: (id: string): RestoreView | undefined => views.get(id),
    list: (): RestoreView[] => [...views.values()],
    keep: (view: RestoreView): void => rows.put(view.id, view),
    /** More is known of one that is over. */
    replace(view: RestoreView): void {
      rows.put(view.id, view);
      views.set(view.id, view);
    },
    /** @param timeline of one that is over */
    keepEnded(view: RestoreView, timeline: TimelineView): void {
      database.transaction(() => {
        rows.put(view.id, view);
        timelines.put(view.id, timeline);
      });
    },
    timeline: (id: string): TimelineView | undefined =>
      views.has(id) ? (timelines.get(id) ?? NO_TIMELINE) : undefined,
    forget,
    /** One that does not go on after all. */
    fail(id: string, error: OffloadError): void {
      const view = views.get(id);
      if (view && !isOver(view)) fail(view, error);
    },
    /** It goes on, and is not of the past. */
    takeOut: (id: string): void => void views.delete(id),
    /** The highest number that was given out. */
    lastNumber: Math.max(0, ...[...views.keys()].map((id) => Number(/-(\d+)$/.exec(id)?.[1] ?? 0))),
  };
}
