/**
 * The operations under way and those that ended not long ago. Their records outlive the plane: what the next one
 * finishes of their work ends them as well.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { OffloadError, toOffloadError } from '../../platform/errors.ts';
import type { Database } from '../state/database.ts';
import { openDocuments } from '../state/documents.ts';
import { type OperationEvent, type OperationProgress, OperationView } from './operation.ts';
import { createProgressLog, type ProgressLog } from './progress-log.ts';

export interface OperationRequest {
  kind: string;
  subject: string;
}

/** What the work of an operation is given. */
export interface OperationContext {
  readonly id: string;
  /** Aborted when somebody cancels: the work undoes what it has made and rejects. */
  readonly signal: AbortSignal;
  progress(text: string, fraction?: number): void;
}

export interface OperationsDeps {
  database: Database;
  nowMs: () => number;
  randomBytes: (byteCount: number) => Buffer;
  /** Default: nobody hears of it. */
  onEnded?: (view: OperationView) => void;
}

/** What became of the work of an operation whose plane has ended. */
export type LeftOutcome = { result: unknown } | { error: { code: string; message: string } };

interface Running {
  view: OperationView;
  log: ProgressLog;
  abort: AbortController;
}

const ID_BYTES = 8;
const MAX_RUNNING = 256;
/** Ended ones that are remembered. */
const KEPT_OPERATIONS = 1_000;
/** A longer answer is asked for where it is, not kept a second time. */
const MAX_RESULT_CHARACTERS = 64 * 1024;

export function createOperations({ database, nowMs, randomBytes, onEnded }: OperationsDeps) {
  const records = openDocuments(database, 'operation', OperationView);
  const running = new Map<string, Running>();
  const ended = new Map<string, OperationView>();
  /** Of those that run: whose plane has ended, by whether this one goes on with their work. */
  const left = new Map<string, 'unknown' | 'goes_on'>();
  const current = new AsyncLocalStorage<OperationView>();
  let closed = false;
  const now = () => new Date(nowMs()).toISOString();

  function remember(view: OperationView): void {
    database.transaction(() => {
      records.put(view.id, view);
      const surplus = [...ended.keys()].slice(0, Math.max(0, ended.size + 1 - KEPT_OPERATIONS));
      for (const id of surplus) {
        records.delete(id);
        ended.delete(id);
      }
    });
    ended.set(view.id, view);
  }

  function load(): void {
    const views = records.list().map(({ value }) => value);
    views.sort((a, b) => a.createdAt.localeCompare(b.createdAt));
    for (const view of views) {
      if (view.phase !== 'running') ended.set(view.id, view);
      else {
        running.set(view.id, { view, log: createProgressLog(), abort: new AbortController() });
        left.set(view.id, 'unknown');
      }
    }
  }
  load();

  function end(entry: Running, outcome: Partial<OperationView>): void {
    running.delete(entry.view.id);
    left.delete(entry.view.id);
    Object.assign(entry.view, outcome, { endedAt: now() });
    // A plane that ends leaves it to the next one to say what became of it.
    if (closed) ended.set(entry.view.id, entry.view);
    else remember(entry.view);
    entry.log.end(eventOf(entry.view, now()));
    onEnded?.(entry.view);
  }

  async function perform<T>(entry: Running, work: (context: OperationContext) => Promise<T>): Promise<T> {
    const { view, log, abort } = entry;
    try {
      const context: OperationContext = {
        id: view.id,
        signal: abort.signal,
        progress(text, fraction) {
          view.progress = progressOf(text, fraction);
          log.add(eventOf(view, now()));
        },
      };
      const result = await current.run(view, () => work(context));
      end(entry, { phase: 'succeeded', ...resultOf(result) });
      return result;
    } catch (error) {
      const known = abort.signal.aborted
        ? new OffloadError('cancelled', `${nameOf(view)}: it was cancelled`, { cause: error })
        : toOffloadError(error, nameOf(view));
      end(entry, { ...failure(known), ...(abort.signal.aborted ? { phase: 'cancelled' } : {}) });
      throw known;
    }
  }

  function get(id: string): OperationView {
    const view = running.get(id)?.view ?? ended.get(id);
    if (!view) throw new OffloadError('not_found', `operation ${id}: there is none of this id`);
    return { ...view };
  }

  return {
    get,
    list: (): OperationView[] => [
      ...ended.values(),
      ...[...running.values()].map(({ view }) => ({ ...view })),
    ],
    /** Starts the work; `done` settles as the work does. It is on record before the work begins. */
    start<T>(
      request: OperationRequest,
      work: (context: OperationContext) => Promise<T>,
    ): { operation: OperationView; done: Promise<T> } {
      if (running.size >= MAX_RUNNING) {
        throw new OffloadError(
          'invalid_state',
          `${request.kind} ${request.subject}: ${MAX_RUNNING} operations are under way`,
        );
      }
      const view: OperationView = {
        id: randomBytes(ID_BYTES).toString('hex'),
        ...request,
        phase: 'running',
        progress: { text: 'started' },
        createdAt: now(),
      };
      records.put(view.id, view);
      const entry = { view, log: createProgressLog(), abort: new AbortController() };
      running.set(view.id, entry);
      entry.log.add(eventOf(view, now()));
      const done = perform(entry, work);
      // Who asked for it may have gone; the record tells.
      done.catch(() => undefined);
      return { operation: { ...view }, done };
    },
    /** Asks the work to end; it ends by itself then. Of one that has ended nothing changes. */
    cancel(id: string): OperationView {
      const entry = running.get(id);
      if (!entry) {
        const view = get(id);
        throw new OffloadError(
          'invalid_state',
          `cancel operation ${id}: it has ${view.phase}, it is not running`,
        );
      }
      if (left.has(id)) {
        throw new OffloadError(
          'invalid_state',
          `cancel operation ${id}: the plane that began it has ended, and this one finishes what there is of it`,
        );
      }
      entry.abort.abort(new OffloadError('cancelled', `${nameOf(entry.view)}: it was cancelled`));
      return { ...entry.view };
    },
    /** Its events so far and those to come, until it ends or nobody listens. */
    async *events(id: string, signal: AbortSignal): AsyncGenerator<OperationEvent> {
      const entry = running.get(id);
      if (entry) yield* entry.log.read(signal);
      else {
        const view = get(id);
        yield eventOf(view, view.endedAt ?? now());
      }
    },
    /** The operation that this is the work of, and not a part of another's work; to be kept with its record. */
    currentOf(kind: string): string | undefined {
      const view = current.getStore();
      return view?.kind === kind ? view.id : undefined;
    },
    /** There is a record of its work, with which this plane goes on. */
    takeUp(id: string | undefined): void {
      const entry = id === undefined ? undefined : running.get(id);
      if (entry === undefined || !left.has(entry.view.id)) return;
      left.set(entry.view.id, 'goes_on');
      entry.view.progress = progressOf('the plane ended; the next one goes on with it', undefined);
      entry.log.add(eventOf(entry.view, now()));
    },
    /** To be called once everything that goes on was taken up: the rest is over. */
    interruptRest(): void {
      for (const [id, state] of [...left]) {
        const entry = running.get(id);
        if (state === 'goes_on' || entry === undefined) continue;
        const reason = `${nameOf(entry.view)}: the plane ended while it was under way`;
        end(entry, failure(new OffloadError('interrupted', reason)));
      }
    },
    /** Of one that was taken up; an operation of this plane ends by itself. */
    endLeft(id: string | undefined, outcome: LeftOutcome): void {
      const entry = id === undefined ? undefined : running.get(id);
      if (closed || entry === undefined || !left.has(entry.view.id)) return;
      end(
        entry,
        'error' in outcome ? failure(outcome.error) : { phase: 'succeeded', ...resultOf(outcome.result) },
      );
    },
    /** Ends what is under way, as a plane does that is told to end. */
    async close(): Promise<void> {
      closed = true;
      for (const { abort } of running.values()) abort.abort();
    },
  };
}
export type Operations = ReturnType<typeof createOperations>;

const nameOf = ({ kind, subject }: OperationView): string => `${kind} ${subject}`;

const failure = ({ code, message }: { code: string; message: string }) => ({
  phase: 'failed' as const,
  error: { code, message },
});

function progressOf(text: string, fraction: number | undefined): OperationProgress {
  return { text, ...(fraction === undefined ? {} : { fraction: Math.min(Math.max(fraction, 0), 1) }) };
}

function resultOf(result: unknown): { result?: unknown } {
  const text = JSON.stringify(result);
  return text === undefined || text.length > MAX_RESULT_CHARACTERS ? {} : { result: JSON.parse(text) };
}

const eventOf = ({ phase, progress }: OperationView, at: string): OperationEvent => ({ at, phase, progress });
