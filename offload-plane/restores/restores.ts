/** Restores: a checkpoint back into any guest, its pages brought by a policy, its ports open from the start. */
import { agentPath, agentStreams } from '../../interconnect/agent-api.ts';
import { withDeadline } from '../../platform/deadline.ts';
import { OffloadError } from '../../platform/errors.ts';
import { cancelled, expectGoingOn, type Following } from '../checkpoints/cancellation.ts';
import { containerOfManifest, recipeOfManifest } from '../checkpoints/checkpoints.ts';
import type { Container, PortRequest } from '../containers/container.ts';
import type { Policies } from '../containers/policies.ts';
import { expectAlive, type Guest } from '../guests/guest.ts';
import { askForOrderLog } from '../order-log/load.ts';
import type { Policy } from '../page-server/contract.ts';
import type { CheckpointReader } from '../page-store/contract.ts';
import { agentRequestOf } from './agent-request.ts';
import { createMemoryComparison } from './compare-memory.ts';
import { createCourse, type RestoresDeps } from './course.ts';
import { imagesTar } from './images-tar.ts';
import type { NewIdentity } from './new-identity.ts';
import { type Restore, type RestoreView, viewOf } from './restore.ts';
import { createTakeUp } from './take-up.ts';
import type { Timeline } from './timeline.ts';
import { recordOf } from './under-way.ts';

export type { RestoresDeps } from './course.ts';

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
  /** It takes the place of this container, which has ended and goes: of the two it is the one that has the address. */
  instead?: Container;
}

export function createRestores(deps: RestoresDeps) {
  const { store, pageServer, containers, guests, metrics, nowMs } = deps;
  const course = createCourse(deps);
  const { restores, past, underWay, deadlineFor } = course;
  const compareMemory = createMemoryComparison(course, deps);
  let sequence = past.lastNumber;

  function get(id: string): Restore {
    const restore = restores.get(id);
    if (!restore) throw new OffloadError('not_found', `restore ${id}: there is none of this id`);
    return restore;
  }

  function view(id: string): RestoreView {
    const known = restores.has(id) ? undefined : past.get(id);
    return known ?? viewOf(get(id));
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
    const orderLog = await askForOrderLog(reader, deps);
    const { instead } = request;
    const cloned = request.clone ?? !containers.canKeepAddress(guest, recipe, instead);
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
        ...(instead ? { instead } : {}),
      })
      .catch((error: unknown) => {
        if (cloned) containers.giveBack(own);
        throw error;
      });
    sequence += 1;
    const id = `${request.name}-${sequence}`;
    // A container that is held touches nothing: there is nothing to record, and no fault to wait for.
    const record = request.record ?? (orderLog === undefined && !request.hold);
    const session = pageServer.openSession({
      guest: guest.registration.name,
      reader,
      policy,
      ...(orderLog ? { orderLog } : {}),
      record,
      ...(record ? { unfinished: deps.recordings.begin(id) } : {}),
      ...course.timingOf(guest.deadlineScale),
      onDone: (result) => course.onDone(restore, result),
    });
    const operation = deps.operations.currentOf('restore');
    const restore: Restore = course.make({
      id,
      checkpoint: request.checkpoint,
      container,
      ...(cloned ? { clonedFrom: recipe } : {}),
      policy,
      session,
      reader,
      ...(operation === undefined ? {} : { operation }),
      createdAt: new Date(deps.wallMs()).toISOString(),
      startedMs,
      hold: request.hold === true,
      deadlineScale: guest.deadlineScale,
      takeoverCount: 0,
      plan: { effectivePolicy: session.effectivePolicy, digest: session.planDigest() },
      life: { phase: 'restoring' },
    });
    return restore;
  }

  /** Brings the container up; its pages go on arriving behind it. */
  async function run(
    restore: Restore,
    guest: Guest,
    requestId: string,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const { container, reader, session } = restore;
    const operation = `restore container ${container.name}`;
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
    expectGoingOn(signal, operation);
    course.awaitFirstResponse(restore);
    const body = agentRequestOf(restore, disks, { timeoutMs, randomBytes: deps.randomBytes });
    const params = { id: container.id };
    // The container is deleted, which cuts the agent's restore off.
    const cut = () => void course.fail(restore, cancelled(operation));
    signal?.addEventListener('abort', cut, { once: true });
    const timings = await guest.agent
      .call('restoreContainer', body, { params, timeoutMs, requestId })
      .finally(() => signal?.removeEventListener('abort', cut));
    course.nowRuns(restore, timings);
    metrics.restoreRunning(restore.policy, timings.runningMs);
  }

  const restoresOf = (container: string, guest: string) =>
    [...restores.values()].filter((restore) => {
      return restore.container.id === container && restore.container.guest === guest;
    });

  async function letGo({ session, reader }: Restore): Promise<void> {
    await session.close('the container is gone');
    await reader.close();
  }

  return {
    ...createTakeUp(course, deps),
    get: view,
    timeline(id: string): Pick<Timeline, 'view'> {
      const known = restores.has(id) ? undefined : past.timeline(id);
      return known ? { view: () => known } : get(id).timeline;
    },
    list: (): RestoreView[] => [...past.list(), ...[...restores.values()].map(viewOf)],
    /** Answers when the container runs; pages may still be on their way then. Until then it can be cancelled. */
    async create(request: RestoreRequest, { signal }: Following = {}): Promise<RestoreView> {
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
      let requestId = '';
      // On record before the agent hears of it, until every page is in place.
      void containers.recorded(container, { verb: 'restore' }, (request) => {
        requestId = request;
        past.keep(viewOf(restore));
        underWay.put(restore.id, recordOf(restore));
        return course.follow(restore, started.promise);
      });
      const running = restore.trace.run(() => run(restore, guest, requestId, signal));
      running.then(started.resolve, started.reject);
      try {
        await running;
      } catch (error) {
        await course.fail(restore, error);
      }
      // Its pages may have failed before the agent answered, or be why the agent failed: the first reason counts.
      if (restore.life.phase === 'failed') {
        await restore.cleanedUp;
        throw new OffloadError(restore.life.code, restore.life.message);
      }
      return viewOf(restore);
    },
    /** Resolves when every page is in place and what was recorded is written. @throws {OffloadError} */
    completion: (id: string): Promise<void> => get(id).session.done.then(() => undefined),
    /** Compares the container's memory with the checkpoint, page by page; it stands still meanwhile. */
    compareMemory: async (id: string): Promise<RestoreView> => compareMemory(view(id)),
    /** What is under way there fails; of a complete restore the container is lost. */
    onGuestLost(guest: string): void {
      for (const restore of restores.values()) {
        const { container, life } = restore;
        if (container.guest !== guest) continue;
        if (life.phase === 'complete') void restore.reader.close();
        else {
          // Somebody was told that it runs: it is lost, and brought back as its policy says.
          const keep = life.phase === 'running' && container.policies.onLost === 'restore';
          void course.fail(restore, guestLost(container.name, guest), keep);
        }
      }
    },
    close: course.close,
    /** @param guest who says so; of another guest's containers it has nothing to say */
    async onContainerGone(container: string, guest: string): Promise<void> {
      for (const restore of restoresOf(container, guest)) await letGo(restore);
    },
    /**
     * What has ended needs no more pages: its pager notices at the next one and says so, and the container stays,
     * with its exit code. A pager that has failed has ended it, or says nothing.
     */
    async onContainerExited(container: string, guest: string): Promise<void> {
      for (const restore of restoresOf(container, guest)) {
        const { session, deadlineScale } = restore;
        restore.hasEnded = true;
        session.startFill();
        const timeoutMs = deps.lastWordMs * deadlineScale;
        await withDeadline(session.done, timeoutMs, 'last word of a pager').catch(() => undefined);
        await letGo(restore);
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
