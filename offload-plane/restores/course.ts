/** The course of each restore: what moves it on, and what is written down of it before it is so. */
import type { RestoreResult } from '../../interconnect/agent-api.ts';
import { toOffloadError } from '../../platform/errors.ts';
import { type Container, setPhase } from '../containers/container.ts';
import type { Containers } from '../containers/containers.ts';
import type { Guest } from '../guests/guest.ts';
import type { Guests } from '../guests/guests.ts';
import type { Logger } from '../logger.ts';
import type { Metrics } from '../metrics.ts';
import type { Answers, KeyOfIntent } from '../operations/answers.ts';
import type { Operations } from '../operations/operations.ts';
import type { UnfinishedRecordings } from '../order-log/unfinished.ts';
import type { PageServer, SessionResult } from '../page-server/contract.ts';
import type { PageStore } from '../page-store/contract.ts';
import type { Database } from '../state/database.ts';
import { NO_TRACING, type Tracing } from '../tracing/tracing.ts';
import { openPastRestores } from './past-restores.ts';
import { isOver, type Restore, type RestoreLife, viewOf } from './restore.ts';
import { createTimeline } from './timeline.ts';
import { traceRestore } from './trace-restore.ts';
import { openUnderWay, recordOf } from './under-way.ts';

export interface RestoresDeps {
  database: Database;
  answers: Answers;
  operations: Pick<Operations, 'currentOf' | 'takeUp' | 'endLeft'>;
  store: PageStore;
  pageServer: PageServer;
  recordings: UnfinishedRecordings;
  containers: Containers;
  guests: Guests;
  metrics: Metrics;
  /** Default: none. */
  tracing?: Tracing;
  logger: Logger;
  /** Monotonic. */
  nowMs: () => number;
  wallMs: () => number;
  randomBytes: (byteCount: number) => Buffer;
  /** Unscaled; multiplied by the guest's deadlineScale. */
  deadlineMs: number;
  faultsDryUpMs: number;
  recordGraceMs: number;
  lastWordMs: number;
}

/** Finished restores that are remembered. */
const KEPT_RESTORES = 1_000;

export function createCourse(deps: RestoresDeps) {
  const { database, operations, containers, guests, metrics, logger, nowMs } = deps;
  const restores = new Map<string, Restore>();
  const underWay = openUnderWay(database);
  /** What an earlier plane has left under way, and nobody has taken up yet. */
  const left = new Map(underWay.list().map(({ id, record }) => [id, record]));
  /** Those of earlier planes. */
  const past = openPastRestores(database, KEPT_RESTORES, (id) => left.has(id));
  for (const { operation } of left.values()) operations.takeUp(operation);
  let closed = false;

  function remember(restore: Restore): void {
    restores.set(restore.id, restore);
    for (const [id, old] of restores) {
      if (restores.size <= KEPT_RESTORES) break;
      if (!isOver(old)) continue;
      restores.delete(id);
      past.forget(id);
      void old.reader.close();
    }
  }

  const deadlineFor = (guest: Guest) => Math.round(deps.deadlineMs * guest.deadlineScale);

  async function noteFirstResponse(restore: Restore): Promise<void> {
    const atMs = nowMs() - restore.startedMs;
    restore.timeline.mark('firstResponse');
    metrics.firstResponse(restore.policy, atMs);
    try {
      const counters = await restore.session.markFirstResponse();
      const { filePageCount } = restore.session.counters();
      restore.firstResponse = { atMs, pageCount: counters.installed + filePageCount };
      if (restore.life.phase === 'running' && !closed) underWay.put(restore.id, recordOf(restore));
    } catch (error) {
      logger.warn(
        { restore: restore.id, error: (error as Error).message },
        'no counters at the first response',
      );
    }
    // Of a container that had all of its pages before it was asked anything.
    if (restore.life.phase === 'complete' && !closed) keepEnded(restore);
  }

  const keepEnded = (restore: Restore) => past.keepEnded(viewOf(restore), restore.timeline.view());

  /** Of one that runs. @param result the pager's last word, if this plane or one before it has heard it */
  function complete(restore: Restore, result?: SessionResult): void {
    if (restore.life.phase !== 'running') return;
    const completeMs = nowMs() - restore.startedMs;
    const verified = restore.cannotVerify ? undefined : result;
    const life: RestoreLife = {
      ...restore.life,
      phase: 'complete',
      completeMs,
      ...(verified ? { result: verified } : {}),
    };
    restore.timeline.mark('complete');
    database.transaction(() => {
      keepEnded({ ...restore, life });
      underWay.delete(restore.id);
    });
    restore.life = life;
    restore.trace.end(viewOf(restore), restore.timeline.view());
    if (result) metrics.restoreComplete(restore.policy, completeMs, result);
    const { memoryDigest, expectedDigest, ...counts } = result ?? {};
    logger.info({ restore: restore.id, completeMs, ...counts }, 'restore complete');
  }

  /**
   * The container without all of its pages must not live: it is removed, and the restore says why.
   * @param keep its record: it is lost with its guest
   */
  function fail(restore: Restore, reason: unknown, keep = false): Promise<void> {
    // The plane ends: the next one goes on with what is on record as under way.
    if (closed || restore.life.phase === 'complete') return Promise.resolve();
    restore.cleanedUp ??= cleanUp(restore, reason, keep);
    return restore.cleanedUp;
  }

  async function cleanUp(restore: Restore, reason: unknown, keep: boolean): Promise<void> {
    const { id, container } = restore;
    const error = toOffloadError(reason, `restore container ${container.name}`);
    restore.life = { phase: 'failed', code: error.code, message: error.message };
    restore.timeline.mark('failed');
    keepEnded(restore);
    operations.endLeft(restore.operation, { error });
    restore.trace.end(viewOf(restore), restore.timeline.view());
    metrics.restoreFailed(restore.policy);
    await restore.session.close(error.message);
    const isStartedAnew = restore.hasEnded && container.phase !== 'stopped';
    if (keep || isStartedAnew) underWay.delete(id);
    else await discard(id, container);
    if (!closed) await restore.reader.close();
  }

  /** Removes what there is of a container that was not brought back. */
  async function discard(id: string, container: Container): Promise<void> {
    const guest = guests.find(container.guest);
    if (guest && !guest.lost) {
      const options = { params: { id: container.id }, timeoutMs: deadlineFor(guest) };
      await guest.agent.call('deleteContainer', undefined, options).catch(() => undefined);
    }
    if (!closed) await containers.forget(container, () => underWay.delete(id));
  }

  return {
    ...{ restores, underWay, left, past, deadlineFor, complete, fail, discard, keepEnded },
    /** A session's times in a guest. */
    timingOf: (deadlineScale: number) => ({
      faultsDryUpMs: deps.faultsDryUpMs * deadlineScale,
      recordGraceMs: deps.recordGraceMs * deadlineScale,
      deadlines: {
        restoredMs: Math.round(deps.deadlineMs * deadlineScale),
        connectMs: Math.round(deps.deadlineMs * deadlineScale),
      },
    }),
    make(parts: Omit<Restore, 'timeline' | 'trace'>): Restore {
      const elapsedMs = () => nowMs() - parts.startedMs;
      const timeline = createTimeline(parts.session, elapsedMs);
      const trace = traceRestore(deps.tracing ?? NO_TRACING, elapsedMs());
      const restore: Restore = { ...parts, timeline, trace };
      remember(restore);
      return restore;
    },
    /** The agent has said so. @param request that this answers, if it is not the one at hand */
    nowRuns(restore: Restore, timings?: RestoreResult, request?: KeyOfIntent): void {
      const { container, id } = restore;
      if (restore.life.phase !== 'restoring') return;
      const life: RestoreLife = { phase: 'running', ...(timings ? { timings } : {}) };
      database.transaction(() => {
        underWay.put(id, recordOf({ ...restore, life }));
        const containerPath = `/v1/containers/${container.id}`;
        deps.answers.noteResult({ path: `/v1/restores/${id}`, containerPath, status: 201 }, request);
        // The news of its end may have come before the answer.
        if (container.phase === 'restoring') setPhase(container, restore.hold ? 'paused' : 'running');
      });
      restore.life = life;
      if (restore.hold && restore.session.recording.phase === 'off') restore.session.startFill();
      restore.timeline.mark('running');
      operations.endLeft(restore.operation, { result: viewOf(restore) });
    },
    /** Every page is in place; the agent may not have answered yet. */
    onDone(restore: Restore, result: SessionResult): void {
      restore.result = result;
      if (restore.life.phase === 'running') complete(restore, result);
      else if (restore.life.phase === 'restoring') underWay.put(restore.id, recordOf(restore));
    },
    /** Follows the pages to their end, whatever becomes of the call that started it. */
    async follow(restore: Restore, running: Promise<void>): Promise<void> {
      try {
        const [result] = await Promise.all([restore.session.done, running]);
        complete(restore, result);
      } catch (error) {
        await fail(restore, error);
      }
    },
    awaitFirstResponse(restore: Restore): void {
      restore.container.onFirstResponse = () => void noteFirstResponse(restore);
    },
    /** Ends nothing in the guests. */
    close(): void {
      closed = true;
    },
  };
}
export type Course = ReturnType<typeof createCourse>;
