/**
 * The guest's half of a checkpoint: freeze, let CRIU dump through the relay to the plane, hand over the
 * metadata, and stand still until the plane has committed. A plane that falls silent is outlived: the
 * lease ends and the container runs on. Pre-dumps go the same way while the container runs.
 */
import { writeFile } from 'node:fs/promises';
import type {
  CheckpointFinish,
  CheckpointRequest,
  CheckpointResult,
  PreDumpRequest,
  PreDumpResult,
} from '../interconnect/agent-api.ts';
import { OffloadError, toOffloadError } from '../platform/errors.ts';
import { createDumps, type Dump, type DumpsDeps } from './dump.ts';
import type { EventLog } from './events.ts';
import type { Container } from './life.ts';
import { readDumpTimes } from './runtime/criu-stats.ts';
import { expectTracked, forgetTracked } from './tracked-dumps.ts';

/** Acts when so much time has passed. @returns what calls it off */
export type Later = (act: () => void, delayMs: number) => () => void;

export interface CheckpointDeps extends DumpsDeps {
  events: EventLog;
  nowMs: () => number;
  later: Later;
}

export function createCheckpoints(deps: CheckpointDeps) {
  const { containers, crun, events, nowMs, later } = deps;
  /** What ends each. */
  const leases = new Map<string, () => void>();
  const underWay = new Map<string, Dump>();
  const dumps = createDumps(deps);

  /** Thaws; what is left of the container's dump goes, but for what a later one may build on. */
  async function resume(container: Container): Promise<number> {
    const { id } = container.spec;
    endLease(id);
    if (container.life.phase !== 'checkpointing') return 0;
    const { pid, frozenAtMs } = container.life;
    // A pre-dump has the container running, and ends by itself.
    if (frozenAtMs === undefined) return 0;
    try {
      await crun.resume(id);
    } catch (error) {
      // It stands still for all that is known: such a container can still be ended.
      if (container.life.phase === 'checkpointing') containers.enter(container, { phase: 'paused', pid });
      throw error;
    }
    if (container.life.phase !== 'checkpointing') return 0;
    const frozenMs = nowMs() - frozenAtMs;
    containers.enter(container, { phase: 'running', pid });
    events.emit({ container: id, event: 'resumed' });
    await dumps.remove(id);
    return frozenMs;
  }

  /** The same for a dump that came to nothing. */
  async function abandon(container: Container): Promise<number> {
    try {
      return await resume(container);
    } finally {
      await forgetTracked(containers, container);
    }
  }

  async function letRun(container: Container, committed: boolean): Promise<number> {
    const current = underWay.get(container.spec.id);
    if (current === undefined) return committed ? await resume(container) : await abandon(container);
    const frozenAtMs = container.life.phase === 'checkpointing' ? container.life.frozenAtMs : undefined;
    current.cancelled = true;
    current.cutOff();
    await current.ended;
    await abandon(container);
    return frozenAtMs === undefined ? 0 : nowMs() - frozenAtMs;
  }

  function endLease(id: string): void {
    leases.get(id)?.();
    leases.delete(id);
  }

  /** @throws {OffloadError} invalid_state; the container has not been touched */
  function expectDumpable(container: Container, operation: string, parent: string | undefined): void {
    containers.expectPhase(container, operation, 'running');
    // CRIU takes a page that the pager has yet to bring for one that is not there.
    if (container.pager !== undefined) {
      throw new OffloadError(
        'invalid_state',
        `${operation} container ${container.spec.id}: pages of its restore are still on their way`,
      );
    }
    expectTracked(container, parent);
  }

  /** Makes the container busy with a dump that can be cut off; with a clock, one that has it stand still. */
  function enter(
    container: Container,
    operation: string,
    parent: string | undefined,
    frozenAt?: () => number,
  ) {
    const { id } = container.spec;
    return containers.inTurn(id, async () => {
      expectDumpable(container, operation, parent);
      const { pid } = container.life as { pid: number };
      const frozen = frozenAt === undefined ? {} : { frozenAtMs: frozenAt() };
      containers.enter(container, { phase: 'checkpointing', pid, ...frozen });
      const over = Promise.withResolvers<void>();
      const current: Dump = { cancelled: false, cutOff: () => undefined, ended: over.promise };
      underWay.set(id, current);
      const leave = () => {
        underWay.delete(id);
        over.resolve();
      };
      return { pid, current, leave };
    });
  }

  return {
    /** The container runs all the while, but for a moment in which CRIU notes its pages. */
    async preDump(id: string, request: PreDumpRequest): Promise<PreDumpResult> {
      const container = containers.get(id);
      const { pid, current, leave } = await enter(container, 'pre-dump', request.parent);
      const startedAtMs = nowMs();
      try {
        await dumps.write('preDump', container, { ...request, track: true }, current);
        const times = await readDumpTimes(containers.paths(id).dumpImages);
        const dumpMs = nowMs() - startedAtMs;
        return times === undefined ? { dumpMs } : { dumpMs, frozenMs: times.freezingMs + times.frozenMs };
      } catch (error) {
        await forgetTracked(containers, container);
        throw toOffloadError(error, `pre-dump container ${id}`);
      } finally {
        await dumps.remove(id);
        if (container.life.phase === 'checkpointing') containers.enter(container, { phase: 'running', pid });
        leave();
      }
    },
    /** Leaves the container frozen in phase `checkpointing`, until finish() or the lease ends. */
    async begin(id: string, request: CheckpointRequest): Promise<CheckpointResult> {
      const container = containers.get(id);
      const { pid, current, leave } = await enter(container, 'checkpoint', request.parent, nowMs);
      const { frozenAtMs } = container.life as { frozenAtMs: number };
      const outlive = () => void abandon(container).catch(() => undefined);
      leases.set(id, later(outlive, request.deadlineMs));
      let frozen = false;
      try {
        await crun.pause(id);
        frozen = true;
        await dumps.write('checkpoint', container, request, current);
        const dumpMs = nowMs() - frozenAtMs;
        const rootfsDiffFileCount = await dumps.packRootfsDiff(id);
        const imageFiles = await dumps.imageFiles(id);
        // What was packed after the lease ended is of a container that runs again.
        containers.expectPhase(container, 'keep frozen', 'checkpointing');
        return { dumpMs, imageFiles, rootfsDiffFileCount };
      } catch (error) {
        if (!frozen && container.life.phase === 'checkpointing') {
          containers.enter(container, { phase: 'running', pid });
        }
        endLease(id);
        await abandon(container).catch(() => undefined);
        throw toOffloadError(error, `checkpoint container ${id}`);
      } finally {
        leave();
      }
    },
    /**
     * In the middle of a dump `resume` cuts it off. Where the container runs already, it only ends what a
     * later dump could have built on.
     */
    async finish(id: string, { action, committed }: CheckpointFinish): Promise<number> {
      const container = containers.get(id);
      if (container.life.phase !== 'checkpointing') endLease(id);
      const operation = `${action} after checkpoint of`;
      if (action === 'resume') {
        containers.expectPhase(container, operation, 'checkpointing', 'running');
        return await letRun(container, committed);
      }
      containers.expectPhase(container, operation, 'checkpointing');
      const { pid, frozenAtMs } = container.life as { pid: number; frozenAtMs?: number };
      if (frozenAtMs === undefined) {
        throw new OffloadError('invalid_state', `${operation} container ${id}: it is not frozen`);
      }
      endLease(id);
      containers.enter(container, { phase: 'running', pid });
      // A frozen cgroup is killed at once by cgroup.kill; crun's SIGKILL would wait for a thaw.
      await writeFile(`${containers.paths(id).cgroup}/cgroup.kill`, '1');
      await containers.waitStopped(id);
      events.emit({ container: id, event: 'checkpointed' });
      await dumps.remove(id);
      return nowMs() - frozenAtMs;
    },
  };
}
export type Checkpoints = ReturnType<typeof createCheckpoints>;
