/**
 * The guest's half of a checkpoint: freeze, let CRIU dump through the relay to the plane, hand over the
 * metadata, and stand still until the plane has committed. A plane that falls silent is outlived: the
 * lease ends and the container runs on. Pre-dumps go the same way while the container runs.
 */

import { mkdir, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import type { Duplex } from 'node:stream';
import type {
  CheckpointFinish,
  CheckpointRequest,
  CheckpointResult,
  PreDumpRequest,
  PreDumpResult,
} from '../interconnect/agent-api.ts';
import { OffloadError, toOffloadError } from '../platform/errors.ts';
import type { Containers } from './containers.ts';
import { openDumpRelay } from './dump-relay.ts';
import type { EventLog } from './events.ts';
import type { Container } from './life.ts';
import { type Programs, readPrograms, runTheSame } from './programs.ts';
import type { RunProgram } from './run-program.ts';
import { dumpConfig } from './runtime/criu-config.ts';
import { criuFailure } from './runtime/criu-log.ts';
import { readDumpTimes } from './runtime/criu-stats.ts';
import type { Crun } from './runtime/crun.ts';
import { expectTracked, forgetTracked, keepTracked } from './tracked-dumps.ts';

export interface CheckpointDeps {
  containers: Containers;
  crun: Crun;
  run: RunProgram;
  events: EventLog;
  /** Dials a port of the plane. */
  dialPlane: (port: number) => Promise<Duplex>;
  nowMs: () => number;
}

/** A dump under way. */
interface Dump {
  cancelled: boolean;
  /** Takes its page server away from CRIU, which then gives up. */
  cutOff(): void;
  /** Resolves when the container runs on, or stands still for the files to be fetched. */
  ended: Promise<void>;
}

interface Lease {
  timer: NodeJS.Timeout;
}

export function createCheckpoints(deps: CheckpointDeps) {
  const { containers, crun, run, events, nowMs } = deps;
  const leases = new Map<string, Lease>();
  const dumps = new Map<string, Dump>();

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
    await removeDump(id);
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
    const current = dumps.get(container.spec.id);
    if (current === undefined) return committed ? await resume(container) : await abandon(container);
    const frozenAtMs = container.life.phase === 'checkpointing' ? container.life.frozenAtMs : undefined;
    current.cancelled = true;
    current.cutOff();
    await current.ended;
    await abandon(container);
    return frozenAtMs === undefined ? 0 : nowMs() - frozenAtMs;
  }

  async function removeDump(id: string): Promise<void> {
    const own = containers.paths(id);
    await rm(own.dumpImages, { recursive: true, force: true });
    await rm(own.dumpRootfsDiff, { force: true });
  }

  function endLease(id: string): void {
    clearTimeout(leases.get(id)?.timer);
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
      dumps.set(id, current);
      const leave = () => {
        dumps.delete(id);
        over.resolve();
      };
      return { pid, current, leave };
    });
  }

  /** What CRIU is told to build on: nothing, so that everything is sent, when a task has begun another program. */
  async function parentFor(
    container: Container,
    request: CheckpointRequest,
    programs: Programs,
  ): Promise<string | undefined> {
    const { trackedDump } = container;
    if (request.parent === undefined || trackedDump === undefined) return undefined;
    const own = containers.paths(container.spec.id);
    const path = relative(own.dumpImages, own.parentImages);
    // The plane says that it has an earlier dump: CRIU wants to see its inventory, whatever it sends.
    await symlink(path, join(own.dumpImages, 'parent'));
    return runTheSame(trackedDump.programs, programs) ? path : undefined;
  }

  async function dump(
    verb: 'checkpoint' | 'preDump',
    container: Container,
    request: CheckpointRequest,
    current: Dump,
  ): Promise<void> {
    const { token, deadlineMs, track } = request;
    const { id } = container.spec;
    const own = containers.paths(id);
    await rm(own.dumpImages, { recursive: true, force: true });
    await mkdir(own.dumpImages, { recursive: true });
    const relay = await openDumpRelay({ token, deadlineMs, dialPlane: deps.dialPlane });
    current.cutOff = relay.close;
    try {
      if (current.cancelled) throw new OffloadError('invalid_state', `checkpoint container ${id}: cancelled`);
      const programs = await readPrograms(own.cgroup);
      const parent = await parentFor(container, request, programs);
      await writeFile(own.criuConfig, dumpConfig({ ...relay, track, parent }));
      // The kernel begins to track anew at some moment of this dump, whether or not it comes to its end.
      if (track || parent !== undefined) {
        container.trackedDump = undefined;
        containers.save(container);
      }
      await crun[verb](id, {
        images: own.dumpImages,
        work: own.dumpImages,
        timeoutMs: deadlineMs,
      }).catch(async (error: unknown) => {
        const operation = verb === 'preDump' ? 'pre-dump' : 'checkpoint';
        throw await criuFailure(`${operation} container ${id}`, `${own.dumpImages}/dump.log`, error);
      });
      await relay.finished();
      if (track) await keepTracked(containers, container, { token, programs });
    } finally {
      relay.close();
    }
  }

  /** Counts what the container changed in its root filesystem and, if anything, packs it. */
  async function packRootfsDiff(id: string): Promise<number> {
    const own = containers.paths(id);
    const entries = await readdir(own.upper);
    if (entries.length === 0) return 0;
    await run('tar', [
      '--xattrs',
      '--xattrs-include=*',
      '--numeric-owner',
      '-cf',
      own.dumpRootfsDiff,
      '-C',
      own.upper,
      '.',
    ]);
    return entries.length;
  }

  return {
    /** The container runs all the while, but for a moment in which CRIU notes its pages. */
    async preDump(id: string, request: PreDumpRequest): Promise<PreDumpResult> {
      const container = containers.get(id);
      const { pid, current, leave } = await enter(container, 'pre-dump', request.parent);
      const startedAtMs = nowMs();
      try {
        await dump('preDump', container, { ...request, track: true }, current);
        const times = await readDumpTimes(containers.paths(id).dumpImages);
        const dumpMs = nowMs() - startedAtMs;
        return times === undefined ? { dumpMs } : { dumpMs, frozenMs: times.freezingMs + times.frozenMs };
      } catch (error) {
        await forgetTracked(containers, container);
        throw toOffloadError(error, `pre-dump container ${id}`);
      } finally {
        await removeDump(id);
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
      leases.set(id, { timer: setTimeout(outlive, request.deadlineMs) });
      let frozen = false;
      try {
        await crun.pause(id);
        frozen = true;
        await dump('checkpoint', container, request, current);
        const dumpMs = nowMs() - frozenAtMs;
        const rootfsDiffFileCount = await packRootfsDiff(id);
        const imageFiles = (await readdir(containers.paths(id).dumpImages)).filter((name) => isImage(name));
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
      await removeDump(id);
      return nowMs() - frozenAtMs;
    },
  };
}
export type Checkpoints = ReturnType<typeof createCheckpoints>;

/** CRIU's logs and statistics are no part of a checkpoint. */
export function isImage(name: string): boolean {
  return name.endsWith('.img') || name === 'descriptors.json';
}
