/**
 * Goes on with restores that an earlier plane has left under way. Their page sessions are open again before a
 * pager can dial; what became of each container is decided once its guest can be asked.
 */
import { toOffloadError } from '../../platform/errors.ts';
import type { Container } from '../containers/container.ts';
import type { KeyOfIntent } from '../operations/answers.ts';
import { askForOrderLog } from '../order-log/load.ts';
import { agentRequestOf } from './agent-request.ts';
import { askAgent } from './ask-agent.ts';
import type { Course, RestoresDeps } from './course.ts';
import { reopenSession } from './reopen-session.ts';
import { isOver, type Restore, viewOf } from './restore.ts';
import { recordOf, type UnderWay } from './under-way.ts';

/** What an earlier plane had set out to do. */
interface LeftIntent extends KeyOfIntent {
  /** Under which the agent was asked. */
  request: string;
}

interface GoingOn {
  restore: Restore;
  /** To be called once the agent has said so. */
  runs: () => void;
  over: Promise<void>;
}

export function createTakeUp(course: Course, deps: RestoresDeps) {
  const { store, pageServer, containers, guests, logger, nowMs, wallMs } = deps;
  const { left, past, underWay, deadlineFor } = course;
  /** By container. */
  const goingOn = new Map<string, GoingOn>();

  async function reopen(id: string, record: UnderWay, container: Container): Promise<void> {
    const { checkpoint, policy, clonedFrom, hold, createdAtMs, deadlineScale, timings, operation } = record;
    const reader = await store.open(checkpoint);
    const { session, canVerify } = reopenSession({
      ...{
        id,
        recordings: deps.recordings,
        pageServer,
        record,
        reader,
        orderLog: await askForOrderLog(reader, deps),
      },
      timing: { ...course.timingOf(deadlineScale), onDone: (result) => course.onDone(restore, result) },
    });
    const restore: Restore = course.make({
      ...{ id, checkpoint, container, policy, session, reader, hold, deadlineScale },
      ...(clonedFrom ? { clonedFrom } : {}),
      ...(operation === undefined ? {} : { operation }),
      createdAt: new Date(createdAtMs).toISOString(),
      startedMs: nowMs() - (wallMs() - createdAtMs),
      takeoverCount: record.takeoverCount + 1,
      plan: { effectivePolicy: record.effectivePolicy, digest: record.planDigest },
      cannotVerify: !canVerify,
      ...(record.firstResponse ? { firstResponse: record.firstResponse } : {}),
      ...(record.result ? { result: record.result } : {}),
      life: record.isRunning ? { phase: 'running', ...(timings ? { timings } : {}) } : { phase: 'restoring' },
    });
    if (hold && record.isRunning && session.recording.phase === 'off') session.startFill();
    if (!record.firstResponse) course.awaitFirstResponse(restore);
    // What it starts is what counts: no pager can have dialled yet, to say how much it has.
    else void session.markFirstResponse().catch(() => undefined);
    underWay.put(id, recordOf(restore));
    past.takeOut(id);
    const running = Promise.withResolvers<void>();
    if (record.isRunning) {
      running.resolve();
      deps.operations.endLeft(operation, { result: viewOf(restore) });
    }
    goingOn.set(container.id, {
      ...{ restore, runs: running.resolve },
      over: course.follow(restore, running.promise),
    });
    logger.info({ restore: id }, 'restore goes on');
  }

  async function tryReopen(id: string, record: UnderWay, container: Container): Promise<void> {
    try {
      await reopen(id, record, container);
      left.delete(id);
    } catch (error) {
      logger.warn({ restore: id, error: (error as Error).message }, 'restore does not go on');
      past.fail(id, toOffloadError(error, `restore container ${container.name}`));
    }
  }

  /** What became of it, by the word of the agent. @throws {OffloadError} guest_lost when it cannot be asked */
  async function decide(restore: Restore, { request: requestId, ...done }: LeftIntent): Promise<void> {
    if (isOver(restore)) return;
    const { container, session } = restore;
    const guest = guests.get(container.guest);
    const timeoutMs = deadlineFor(guest);
    const unanswered = async () => {
      const disks = await containers.attachDisks(guest, container);
      return {
        body: agentRequestOf(restore, disks, { timeoutMs, randomBytes: deps.randomBytes }),
        requestId,
      };
    };
    const found = await askAgent({
      ...{ guest, container, timeoutMs },
      ...(restore.life.phase === 'restoring' ? { unanswered: await unanswered() } : {}),
    });
    if (found.is === 'gone') return course.fail(restore, found.reason);
    course.nowRuns(restore, found.timings, done);
    if (found.pagesMissing || session.state.phase !== 'waiting') return;
    course.complete(restore);
    await session.leave();
  }

  return {
    /** To be called before a pager can dial. */
    async reopenAll(): Promise<void> {
      const known = new Map(containers.records().map((container) => [container.id, container]));
      for (const [id, record] of [...left]) {
        const container = known.get(record.container);
        // Its removal was cut off, before its end or after.
        if (container === undefined) underWay.delete(id);
        else if (past.get(id)?.phase !== 'failed') await tryReopen(id, record, container);
        const view = past.get(id);
        if (view?.error) deps.operations.endLeft(record.operation, { error: view.error });
      }
      const isRecording = ({ restore }: GoingOn) => restore.session.recording.phase === 'recording';
      const recorded = [...goingOn.values()].filter(isRecording).map(({ restore }) => restore.id);
      deps.recordings.removeExcept(new Set(recorded));
    },
    /**
     * Of a restore that was cut off, once its guest can be asked: it is rolled back, was complete, or goes on.
     * @returns when it is over, of one that goes on
     * @throws {OffloadError} guest_lost when it has to be tried again
     */
    async takeUp(container: Container, intent: LeftIntent): Promise<{ over?: Promise<void> }> {
      const known = goingOn.get(container.id);
      if (known) {
        await decide(known.restore, intent);
        known.runs();
        return { over: known.over };
      }
      const [id] = [...left].find(([, record]) => record.container === container.id) ?? [];
      if (id !== undefined) await course.discard(id, container);
      return {};
    },
  };
}
