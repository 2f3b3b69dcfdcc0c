/** Restores: a checkpoint back into any guest, its pages brought by a policy, its ports open from the start. */
import { Value } from 'typebox/value';
import { agentPath, agentStreams, MemoryComparison } from '../../interconnect/agent-api.ts';
import { OffloadError, toOffloadError } from '../../platform/errors.ts';
import { containerOfManifest, recipeOfManifest } from '../checkpoints/checkpoints.ts';
import { type PortRequest, setPhase } from '../containers/container.ts';
import type { Containers } from '../containers/containers.ts';
import type { Policies } from '../containers/policies.ts';
import { AGENT_SHARE, expectAlive, type Guest } from '../guests/guest.ts';
import type { Guests } from '../guests/guests.ts';
import type { Logger } from '../logger.ts';
import type { Metrics } from '../metrics.ts';
import type { Answers } from '../operations/answers.ts';
import type { OrderLog } from '../order-log/contract.ts';
import { loadOrderLog } from '../order-log/load.ts';
import type { PageServer, Policy } from '../page-server/contract.ts';
import type { CheckpointReader, PageStore } from '../page-store/contract.ts';

import type { Database } from '../state/database.ts';
import { NO_TRACING, type Tracing } from '../tracing/tracing.ts';

import { imagesTar } from './images-tar.ts';
import { memoryIndex } from './memory-index.ts';
import type { NewIdentity } from './new-identity.ts';
import { openPastRestores } from './past-restores.ts';
import { type Restore, type RestoreView, viewOf } from './restore.ts';
import { createTimeline, type Timeline } from './timeline.ts';
import { traceRestore } from './trace-restore.ts';

/** The policy that measures best in the demo (see docs/benchmarks.md). */
export const DEFAULT_POLICY: Policy = 'ordered';

export interface RestoreRequest {
  checkpoint: string;
  guest: string;
  name: string;
  policy?: Policy;
  ports?: PortRequest[];
  /** Leave the container paused before its first instruction; it runs when it is resumed. */
  hold?: boolean;
  /** Record the order of first touches anew, though the checkpoint has an order log. */
  record?: boolean;
  /**
   * As another container, with hostname, address and machine id of its own. Default: when the address is
   * taken in that guest.
   */
  clone?: boolean;
  /** What else the container shall have of another. */
  like?: { policies: Policies; labels: Record<string, string> };
}

export interface RestoresDeps {
  database: Database;
  answers: Answers;
  store: PageStore;
  pageServer: PageServer;
  containers: Containers;
  guests: Guests;
  metrics: Metrics;
  /** Default: none. */
  tracing?: Tracing;
  logger: Logger;
  nowMs: () => number;
  randomBytes: (byteCount: number) => Buffer;
  /** Unscaled; multiplied by the guest's deadlineScale. */
  deadlineMs: number;
  faultsDryUpMs: number;
  recordGraceMs: number;
}

/** Finished restores that are remembered. */
const KEPT_RESTORES = 1_000;

export function createRestores(deps: RestoresDeps) {
  const { store, pageServer, containers, guests, metrics, logger, nowMs } = deps;
  const restores = new Map<string, Restore>();
  /** Those of earlier planes. */
  const past = openPastRestores(deps.database, KEPT_RESTORES);
  let sequence = past.lastNumber;
  let closed = false;

  function get(id: string): Restore {
    const restore = restores.get(id);
    if (!restore) throw new OffloadError('not_found', `restore ${id}: there is none of this id`);
    return restore;
  }

  async function orderLogOf(reader: CheckpointReader): Promise<OrderLog | undefined> {
    const loaded = await loadOrderLog(reader);
    if ('log' in loaded) return loaded.log;
    if (loaded.ignored !== 'absent') {
      metrics.orderLogIgnored(loaded.ignored);
      logger.warn({ checkpoint: reader.manifest.id, reason: loaded.ignored }, 'order log ignored');
    }
    return undefined;
  }

  async function open(
    request: RestoreRequest,
    guest: Guest,
    reader: CheckpointReader,
    startedMs: number,
  ): Promise<Restore> {
    const recipe = recipeOfManifest(reader.manifest);
    const policy = request.policy ?? DEFAULT_POLICY;
    const ports = request.ports ?? recipe.containerPorts.map((containerPort) => ({ containerPort }));
    const orderLog = await orderLogOf(reader);
    const cloned = request.clone ?? !containers.canKeepAddress(guest, recipe);
    const own = cloned ? containers.recipeOfClone(recipe, request.name) : recipe;
    const container = await containers
      .admit({
        name: request.name,
        guest,
        recipe: own,
        ports,
        phase: 'restoring',
        restoredFrom: { checkpoint: request.checkpoint, container: containerOfManifest(reader.manifest) },
        ...request.like,
      })
      .catch((error: unknown) => {
        if (cloned) containers.giveBack(own);
        throw error;
      });
    const session = pageServer.openSession({
      guest: guest.registration.name,
      reader,
      policy,
      ...(orderLog ? { orderLog } : {}),
      // A container that is held touches nothing: there is nothing to record, and no fault to wait for.
      record: request.record ?? (orderLog === undefined && !request.hold),
      faultsDryUpMs: deps.faultsDryUpMs * guest.deadlineScale,
      recordGraceMs: deps.recordGraceMs * guest.deadlineScale,
      deadlines: { restoredMs: deadlineFor(guest), connectMs: deadlineFor(guest) },
    });
    sequence += 1;
    const restore: Restore = {
      id: `${request.name}-${sequence}`,
      checkpoint: request.checkpoint,
      container,
      ...(cloned ? { clonedFrom: recipe } : {}),
      policy,
      session,
      reader,
      createdAt: new Date().toISOString(),
      startedMs,
      hold: request.hold === true,
      timeline: createTimeline(session, () => nowMs() - startedMs),
      trace: traceRestore(deps.tracing ?? NO_TRACING, nowMs() - startedMs),
      life: { phase: 'restoring' },
    };
    remember(restore);
    return restore;
  }

  function remember(restore: Restore): void {
    restores.set(restore.id, restore);
    for (const [id, old] of restores) {
      if (restores.size <= KEPT_RESTORES) break;
      if (old.life.phase !== 'complete' && old.life.phase !== 'failed') continue;
      restores.delete(id);
      past.forget(id);
      void old.reader.close();
    }
  }

  const keepEnded = (restore: Restore) => past.keepEnded(viewOf(restore), restore.timeline.view());

  const deadlineFor = (guest: Guest) => Math.round(deps.deadlineMs * guest.deadlineScale);

  /** Brings the container up; its pages go on arriving behind it. */
  async function run(restore: Restore, guest: Guest): Promise<void> {
    const { container, reader, session } = restore;
    const timeoutMs = deadlineFor(guest);
    const { method, path } = agentStreams.putImages;
    const [disks] = await Promise.all([
      containers.attachDisks(guest, container),
      guest.agent.upload(
        {
          method,
          path: agentPath(path, { id: container.id }),
          contentType: 'application/x-tar',
          timeoutMs,
        },
        imagesTar(reader, session, identityOf(restore)),
      ),
    ]);
    container.onFirstResponse = () => void noteFirstResponse(restore);
    const timings = await guest.agent.call(
      'restoreContainer',
      {
        spec: { ...container.recipe.spec, id: container.id, ...disks },
        token: session.token,
        lazyPages: session.effectivePolicy !== 'eager',
        hold: restore.hold,
        ...(restore.clonedFrom ? { machineId: deps.randomBytes(16).toString('hex') } : {}),
        deadlineMs: Math.round(timeoutMs * AGENT_SHARE),
      },
      { params: { id: container.id }, timeoutMs },
    );
    if (restore.life.phase === 'restoring') restore.life = { phase: 'running', timings };
    // The news of its end may have come before the answer.
    if (container.phase === 'restoring') setPhase(container, restore.hold ? 'paused' : 'running');
    if (restore.hold && session.recording.phase === 'off') session.startFill();
    restore.timeline.mark('running');
    metrics.restoreRunning(restore.policy, timings.runningMs);
  }

  async function noteFirstResponse(restore: Restore): Promise<void> {
    const atMs = nowMs() - restore.startedMs;
    restore.timeline.mark('firstResponse');
    metrics.firstResponse(restore.policy, atMs);
    try {
      restore.firstResponse = { atMs, counters: await restore.session.markFirstResponse() };
    } catch (error) {
      logger.warn(
        { restore: restore.id, error: (error as Error).message },
        'no counters at the first response',
      );
    }
    // Of a container that had all of its pages before it was asked anything.
    if (restore.life.phase === 'complete' && !closed) keepEnded(restore);
  }

  /** Follows the pages to their end, whatever becomes of the call that started it. */
  async function follow(restore: Restore, running: Promise<void>): Promise<void> {
    try {
      const [result] = await Promise.all([restore.session.done, running]);
      const completeMs = nowMs() - restore.startedMs;
      if (restore.life.phase !== 'running') return;
      restore.life = { phase: 'complete', timings: restore.life.timings, result, completeMs };
      restore.timeline.mark('complete');
      keepEnded(restore);
      restore.trace.end(viewOf(restore), restore.timeline.view());
      metrics.restoreComplete(restore.policy, completeMs, result);
      const { memoryDigest, expectedDigest, ...counts } = result;
      logger.info({ restore: restore.id, completeMs, ...counts }, 'restore complete');
    } catch (error) {
      await fail(restore, error);
    }
  }

  /** The container without all of its pages must not live: it is removed, and the restore says why. */
  function fail(restore: Restore, reason: unknown): Promise<void> {
    // The plane ends: the next one rolls back what is on record as under way.
    if (closed) return Promise.resolve();
    restore.cleanedUp ??= cleanUp(restore, reason);
    return restore.cleanedUp;
  }

  async function cleanUp(restore: Restore, reason: unknown): Promise<void> {
    const error = toOffloadError(reason, `restore container ${restore.container.name}`);
    restore.life = { phase: 'failed', code: error.code, message: error.message };
    restore.timeline.mark('failed');
    keepEnded(restore);
    restore.trace.end(viewOf(restore), restore.timeline.view());
    metrics.restoreFailed(restore.policy);
    await restore.session.close(error.message);
    const guest = guests.find(restore.container.guest);
    if (guest && !guest.lost) {
      await guest.agent
        .call('deleteContainer', undefined, {
          params: { id: restore.container.id },
          timeoutMs: deadlineFor(guest),
        })
        .catch(() => undefined);
    }
    if (closed) return;
    await containers.forget(restore.container);
    await restore.reader.close();
  }

  return {
    get(id: string): RestoreView {
      const known = restores.has(id) ? undefined : past.get(id);
      return known ?? viewOf(get(id));
    },
    timeline(id: string): Pick<Timeline, 'view'> {
      const known = restores.has(id) ? undefined : past.timeline(id);
      return known ? { view: () => known } : get(id).timeline;
    },
    list: (): RestoreView[] => [...past.list(), ...[...restores.values()].map(viewOf)],
    /** Answers when the container runs; pages may still be on their way then. */
    async create(request: RestoreRequest): Promise<RestoreView> {
      const startedMs = nowMs();
      const guest = guests.get(request.guest);
      expectAlive(guest, `restore checkpoint ${request.checkpoint}`);
      const reader = await store.open(request.checkpoint);
      let restore: Restore;
      try {
        restore = await open(request, guest, reader, startedMs);
      } catch (error) {
        await reader.close();
        throw error;
      }
      const { container } = restore;
      const started = Promise.withResolvers<void>();
      // On record before the agent hears of it, until every page is in place.
      void containers.recorded(container, { verb: 'restore' }, () => {
        past.keep(viewOf(restore));
        return follow(restore, started.promise);
      });
      const running = restore.trace.run(() => run(restore, guest));
      running.then(started.resolve, started.reject);
      try {
        await running;
      } catch (error) {
        await fail(restore, error);
      }
      // Its pages may have failed before the agent answered, or be why the agent failed: the first reason counts.
      if (restore.life.phase === 'failed') {
        await restore.cleanedUp;
        throw new OffloadError(restore.life.code, restore.life.message);
      }
      deps.answers.noteResult({ path: `/v1/restores/${restore.id}`, status: 201 });
      return viewOf(restore);
    },
    /** Resolves when every page is in place and what was recorded is written. @throws {OffloadError} */
    completion: (id: string): Promise<void> => get(id).session.done.then(() => undefined),
    /** Compares the container's memory with the checkpoint, page by page; it stands still meanwhile. */
    async compareMemory(id: string): Promise<RestoreView> {
      const restore = get(id);
      if (restore.life.phase !== 'complete') {
        throw new OffloadError(
          'invalid_state',
          `compare memory of restore ${id}: it is ${restore.life.phase}, not complete`,
        );
      }
      const guest = guests.get(restore.container.guest);
      const { method, path } = agentStreams.compareMemory;
      const answer = await guest.agent.upload(
        { method, path: agentPath(path, { id: restore.container.id }), timeoutMs: deadlineFor(guest) },
        memoryIndex(restore.reader),
      );
      if (!Value.Check(MemoryComparison, answer)) {
        throw new OffloadError('guest_lost', `compare memory of restore ${id}: an answer outside the schema`);
      }
      restore.memory = answer;
      keepEnded(restore);
      return viewOf(restore);
    },
    /** What is under way there fails; of a complete restore the container is lost. */
    onGuestLost(guest: string): void {
      for (const restore of restores.values()) {
        const { container, life } = restore;
        if (container.guest !== guest) continue;
        if (life.phase === 'complete') void restore.reader.close();
        else void fail(restore, guestLost(container.name, guest));
      }
    },
    /** Ends nothing in the guests. */
    close(): void {
      closed = true;
    },
    /** @param guest who says so; of another guest's containers it has nothing to say */
    async onContainerGone(container: string, guest: string): Promise<void> {
      for (const restore of restores.values()) {
        if (restore.container.id !== container || restore.container.guest !== guest) continue;
        await restore.session.close('the container is gone');
        await restore.reader.close();
      }
    },
  };
}
/** Of a clone: what the images name it by, and what they shall. */
function identityOf({ container, clonedFrom }: Restore): NewIdentity | undefined {
  if (clonedFrom === undefined) return undefined;
  const { hostname, address } = container.recipe.spec;
  return { hostname, oldAddress: clonedFrom.spec.address, newAddress: address };
}

const guestLost = (container: string, guest: string) =>
  new OffloadError('guest_lost', `restore container ${container}: guest ${guest} is gone`);

export type Restores = ReturnType<typeof createRestores>;
