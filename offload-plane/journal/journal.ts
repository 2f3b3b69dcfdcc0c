/** The plane's events, on disk: appended in the transaction of what they tell of, bounded by count and age. */
import type { Database } from '../state/database.ts';
import type { PlaneEvent, PlaneEventBody } from './event.ts';

export interface JournalLimits {
  maxCount: number;
  maxAgeMs: number;
}
const JOURNAL_LIMITS: JournalLimits = { maxCount: 10_000, maxAgeMs: 7 * 24 * 3_600_000 };
/** Events between two looks at what is too old. */
const PRUNE_EVERY = 64;
const BATCH_COUNT = 500;

export interface EventFilter {
  container?: string;
  guest?: string;
}

export function openJournal(database: Database, nowMs: () => number, limits = JOURNAL_LIMITS) {
  const insert = database.prepare('INSERT INTO events (atMs, body) VALUES (?, ?)');
  const select = database.prepare(
    'SELECT sequence, atMs, body FROM events WHERE sequence > ? ORDER BY sequence LIMIT ?',
  );
  const highest = database.prepare('SELECT max(sequence) AS sequence FROM events');
  const prune = database.prepare('DELETE FROM events WHERE sequence <= ? OR atMs < ?');
  const listeners = new Set<() => void>();

  function read(since: number): PlaneEvent[] {
    return select.all(since, BATCH_COUNT).map(({ sequence, atMs, body }) => ({
      sequence: Number(sequence),
      atMs: Number(atMs),
      ...(JSON.parse(String(body)) as PlaneEventBody),
    }));
  }

  return {
    append(event: PlaneEventBody): void {
      const { lastInsertRowid } = insert.run(Math.round(nowMs()), JSON.stringify(event));
      const sequence = Number(lastInsertRowid);
      if (sequence % PRUNE_EVERY === 0) prune.run(sequence - limits.maxCount, nowMs() - limits.maxAgeMs);
      database.afterCommit(() => {
        for (const wake of [...listeners]) wake();
      });
    },
    last: (): number => Number(highest.get()?.sequence ?? 0),
    /**
     * Events after `since`; with `follow`, those to come as well until the signal. A slow reader costs
     * nothing: it reads on from the disk.
     */
    async *read(since: number, filter: EventFilter, follow?: AbortSignal): AsyncGenerator<PlaneEvent> {
      let last = since;
      for (;;) {
        const batch = read(last);
        for (const event of batch) {
          last = event.sequence;
          if (fits(event, filter)) yield event;
        }
        if (batch.length > 0) continue;
        if (!follow || follow.aborted) return;
        await woken(listeners, follow);
      }
    },
  };
}
export type Journal = ReturnType<typeof openJournal>;

const fits = (event: PlaneEvent, { container, guest }: EventFilter): boolean =>
  (container === undefined || event.container === container) &&
  (guest === undefined || event.guest === guest);

function woken(listeners: Set<() => void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const wake = () => {
      listeners.delete(wake);
      signal.removeEventListener('abort', wake);
      resolve();
    };
    listeners.add(wake);
    signal.addEventListener('abort', wake);
  });
}
