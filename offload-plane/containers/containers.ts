import type { AgentEvent } from '../../interconnect/agent-api.ts';
import { OffloadError } from '../../platform/errors.ts';
import { expectAlive, type Guest } from '../guests/guest.ts';
import type { Guests } from '../guests/guests.ts';
import type { Images } from '../images/images.ts';
import type { Journal } from '../journal/journal.ts';
import type { Logger } from '../logger.ts';
import type { Answers } from '../operations/answers.ts';
import type { Operations } from '../operations/operations.ts';
import type { Database } from '../state/database.ts';
import type { Volumes } from '../volumes/volumes.ts';
import { type AdoptionDeps, createAdoption } from './adoption.ts';
import { type Container, type ContainerRecipe, type PlanePhase, setPhase } from './container.ts';
import { createContainerDisks } from './container-disks.ts';
import { openContainerRecords } from './container-records.ts';
import { createContainerSet } from './container-set.ts';
import type { IntentOf, Verb } from './intents.ts';
import { createLifecycle } from './lifecycle.ts';
import { createMoves } from './moves.ts';
import { newName } from './names.ts';
import { chooseGuestFor } from './place.ts';
import { DEFAULT_STOP_GRACE_MS, DEFAULT_STOP_SIGNAL, type Policies } from './policies.ts';
import { type CreateRequest, hostnameOf, policiesOf, recipeOf } from './recipe.ts';
import { restartOf } from './restart-policy.ts';
import { createUndertakings } from './undertakings.ts';
import { type ContainerView, viewOf } from './view.ts';
import { untilStopped } from './wait.ts';

export type { CreateRequest } from './recipe.ts';

export interface ContainersDeps {
  database: Database;
  journal: Journal;
  answers: Answers;
  operations: Pick<Operations, 'currentOf' | 'takeUp' | 'endLeft'>;
  guests: Guests;
  images: Pick<Images, 'get'>;
  volumes: Pick<Volumes, 'get' | 'ensure'>;
  logger: Logger;
  hostAddress: string;
  randomBytes: (byteCount: number) => Buffer;
  wallMs: () => number;
  /** Unscaled; multiplied by a guest's deadlineScale. */
  callTimeoutMs: number;
  /** A container's phase has changed. */
  onPhase?: (container: Container) => void;
  /** See adoption.ts. */
  isCommitted: AdoptionDeps['isCommitted'];
  inspectCheckpoint: AdoptionDeps['inspectCheckpoint'];
  takeUpRestore: AdoptionDeps['takeUpRestore'];
}

const REQUEST_ID_BYTES = 8;
export function createContainers(deps: ContainersDeps) {
  const { database, guests, images, randomBytes, wallMs } = deps;
  const timeoutFor = (guest: Guest) => deps.callTimeoutMs * guest.deadlineScale;
  const newRequest = () => randomBytes(REQUEST_ID_BYTES).toString('hex');
  const records = openContainerRecords(database, deps.journal, wallMs, deps.onPhase);
  const disks = createContainerDisks({ ...deps, find: (id) => set.byId(id), timeoutFor });
  const set = createContainerSet({ ...deps, records, disks, timeoutFor });
  const undertakings = createUndertakings({ ...deps, records, newRequest });
  const lifecycle = createLifecycle({ guests, timeoutFor, attachDisks: disks.attach });
  const moves = createMoves({ ...deps, set, undertakings, remove });
  const settleMoves = moves.settle;
  const adoption = createAdoption({
    ...deps,
    set,
    disks,
    undertakings,
    lifecycle,
    timeoutFor,
    settleMoves,
    start,
  });
  const { get } = set;
  const { during } = undertakings;

  function expectPhase(container: Container, operation: string, ...phases: PlanePhase[]): void {
    if (phases.includes(container.phase)) return;
    throw new OffloadError(
      'invalid_state',
      `${operation} container ${container.name}: it is ${container.phase}, not ${phases.join(' or ')}`,
    );
  }

  /** Forgets a container of which something may be left in its guest: it goes when the guest is reached. */
  const forgetUnsure = (container: Container): Promise<void> =>
    set.forget(container, () =>
      undertakings.leave({ verb: 'discard', guest: container.guest }, container.id),
    );

  async function make(container: Container, request: string): Promise<void> {
    try {
      await lifecycle.create(container, request);
    } catch (error) {
      await (isUnsure(error) ? forgetUnsure(container) : set.forget(container));
      throw error;
    }
  }

  /** A name and a guest for a container that was given none. */
  function place(request: { name?: string; guest?: string }): { name: string; guest: string } {
    const name = request.name ?? newName(set.isTaken, randomBytes);
    return { name, guest: request.guest ?? chooseGuestFor(name, guests.list(), set.list()) };
  }

  async function create(request: CreateRequest): Promise<Container> {
    const { name, guest: home } = place(request);
    const guest = guests.get(home);
    expectAlive(guest, `create container ${name}`);
    if (guest.cordoned) {
      throw new OffloadError('invalid_state', `create container ${name}: guest ${home} is cordoned`);
    }
    const image = images.get(request.image);
    await disks.ensureVolumes(request.volumes ?? []);
    const address = set.takeAddress();
    let container: Container;
    try {
      const recipe = recipeOf(name, request, image, address);
      const { ports = [] } = request;
      const labels = { ...image.config.labels, ...request.labels };
      const policies = policiesOf(request, image);
      container = await set.admit({ name, guest, recipe, ports, phase: 'created', policies, labels });
    } catch (error) {
      set.releaseAddress(address);
      throw error;
    }
    await recorded(container, { verb: 'create' }, (id) => make(container, id));
    return container;
  }

  /** The record and the intent of a new container are one write. */
  function recorded<T>(container: Container, verb: Verb, work: (request: string) => Promise<T>): Promise<T> {
    return database.transaction(() => {
      records.add(container);
      return during(container, verb, work);
    });
  }

  /** @param thenStart it is to run again: the next plane starts it, if this one does not come to it */
  async function stop(
    container: Container,
    request: { signal?: string | undefined; graceMs?: number | undefined },
    thenStart = false,
  ) {
    const { stopSignal, stopGraceMs } = container.policies;
    const signal = request.signal ?? stopSignal ?? DEFAULT_STOP_SIGNAL;
    const graceMs = request.graceMs ?? stopGraceMs ?? DEFAULT_STOP_GRACE_MS;
    container.recorder.change(container, { desired: 'stopped' });
    await during(container, { verb: 'stop', signal, graceMs, thenStart }, async (id) => {
      await lifecycle.stop(container, signal, graceMs, id);
      if (thenStart) container.recorder.change(container, { desired: 'running' });
    });
  }

  async function start(container: Container, restartCount = 0): Promise<void> {
    container.recorder.change(container, { desired: 'running', restartCount });
    await during(container, { verb: 'start' }, (id) => lifecycle.start(container, id));
  }

  async function remove(container: Container): Promise<void> {
    const guest = guests.find(container.guest);
    if (!guest || guest.lost) return forgetUnsure(container);
    await during(container, { verb: 'remove' }, async (id) => {
      await lifecycle.remove(container, id);
      await set.forget(container);
    });
  }

  return {
    get,
    idOf: set.idOf,
    records: set.list,
    expectPhase,
    place,
    admit: set.admit,
    dismiss: set.dismiss,
    recorded,
    during,
    isBusy: (id: string): boolean => undertakings.isBusy(id) || undertakings.isLeft(id),
    isUnfinished: undertakings.isUnfinished,
    startAgain: start,
    note: records.note,
    /** Whether a container with this recipe has its address to itself in this guest. */
    canKeepAddress: (guest: Guest, recipe: ContainerRecipe): boolean =>
      set.addressHolder(guest, recipe.spec.address) === undefined,
    /** The recipe of another container like it: with a hostname and an address of its own. */
    recipeOfClone: (recipe: ContainerRecipe, name: string): ContainerRecipe => ({
      ...recipe,
      spec: { ...recipe.spec, hostname: hostnameOf(name), address: set.takeAddress() },
    }),
    /** An address that was taken for a container that did not come to be. */
    giveBack: (recipe: ContainerRecipe): void => set.releaseAddress(recipe.spec.address),
    timeoutFor,
    list: (): ContainerView[] => set.list().map(viewOf),
    attachDisks: disks.attach,
    forget: set.forget,
    settleMoves,
    /** See cut-off-drains.ts. */
    leftDrains: undertakings.leftDrains,
    settleDrain: (intent: IntentOf<'drain'>) => undertakings.settle(intent, set.byId(intent.container)),
    publishAgain: () => set.publishAgain(moves.isLeft),
    adopt: adoption.adopt,
    create: async (request: CreateRequest): Promise<ContainerView> => viewOf(await create(request)),
    async start(name: string): Promise<ContainerView> {
      const container = get(name);
      expectPhase(container, 'start', 'created', 'stopped');
      await start(container);
      return viewOf(container);
    },
    async stop(name: string, request: { signal?: string; graceMs?: number }): Promise<ContainerView> {
      const container = get(name);
      if (willRestart(container)) container.recorder.change(container, { desired: 'stopped' });
      else {
        expectPhase(container, 'stop', 'running', 'paused');
        await stop(container, request);
      }
      return viewOf(container);
    },
    /** Ends it where it runs, and starts it. */
    async restart(name: string, request: { signal?: string; graceMs?: number }): Promise<ContainerView> {
      const container = get(name);
      expectPhase(container, 'restart', 'created', 'running', 'paused', 'stopped');
      if (container.phase === 'running' || container.phase === 'paused') {
        await stop(container, request, true);
      }
      await start(container);
      return viewOf(container);
    },
    async kill(name: string, signal: string): Promise<ContainerView> {
      const container = get(name);
      expectPhase(container, 'kill', 'created', 'running', 'paused');
      if (isDeadly(signal, container.policies)) container.recorder.change(container, { desired: 'stopped' });
      await during(container, { verb: 'kill', signal }, (id) => lifecycle.kill(container, signal, id));
      return viewOf(container);
    },
    async pause(name: string): Promise<ContainerView> {
      const container = get(name);
      expectPhase(container, 'pause', 'running');
      await during(container, { verb: 'pause' }, (id) => lifecycle.pause(container, id));
      return viewOf(container);
    },
    async resume(name: string): Promise<ContainerView> {
      const container = get(name);
      expectPhase(container, 'resume', 'paused');
      await during(container, { verb: 'resume' }, (id) => lifecycle.resume(container, id));
      return viewOf(container);
    },
    /**
     * Its name and ports go to what `make` makes; then it is gone, in its guest as soon as that is reached. When
     * that fails it has them back.
     */
    async replace(container: Container, make: () => Promise<unknown>): Promise<void> {
      const { name, id } = container;
      await during(container, { verb: 'move', name }, async () => {
        set.rename(container, `${name.slice(0, 50)}.${id}`.slice(0, 63));
        set.closePorts(container);
        try {
          await make();
        } catch (error) {
          set.rename(container, name);
          await set.publishOwn(container);
          throw error;
        }
        await remove(container);
      });
    },
    /** The agent is not told: it knows the id only. */
    rename(reference: string, name: string): ContainerView {
      const container = get(reference);
      set.expectFree(name, `rename container ${container.name} to ${name}`);
      database.transaction(() => {
        set.rename(container, name);
        deps.answers.noteResult({ path: `/v1/containers/${container.id}`, status: 200 });
      });
      return viewOf(container);
    },
    /** Until it ends, or the time is over: then the answer has no exit code. */
    async wait(name: string, timeoutMs: number): Promise<{ phase: PlanePhase; exitCode?: number }> {
      const container = get(name);
      await untilStopped(container, timeoutMs);
      const { phase, exitCode } = container;
      return { phase, ...(phase === 'stopped' && exitCode !== undefined ? { exitCode } : {}) };
    },
    /** One that runs is refused without force. */
    async remove(name: string, { force }: { force: boolean }): Promise<void> {
      const container = get(name);
      const alive: PlanePhase[] = force ? ['running', 'paused'] : [];
      expectPhase(container, 'delete', 'created', 'stopped', 'lost', ...alive);
      await remove(container);
    },
    processes(name: string) {
      const container = get(name);
      expectPhase(container, 'list processes of', 'running', 'paused', 'checkpointing');
      const guest = guests.get(container.guest);
      return guest.agent.call('listProcesses', undefined, {
        params: { id: container.id },
        timeoutMs: timeoutFor(guest),
      });
    },
    stats(name: string) {
      const container = get(name);
      const guest = guests.get(container.guest);
      return guest.agent.call('containerStats', undefined, {
        params: { id: container.id },
        timeoutMs: timeoutFor(guest),
      });
    },
    onAgentEvent(event: AgentEvent, guest: string): void {
      const container = set.byId(event.container);
      if (!container || container.guest !== guest) return;
      if (event.event === 'started' && container.phase === 'created') setPhase(container, 'running');
      if (event.event !== 'exited' || container.phase === 'stopped') return;
      setPhase(container, 'stopped', event.exitCode === undefined ? {} : { exitCode: event.exitCode });
    },
    onGuestLost(guest: string): void {
      for (const container of set.list()) {
        if (container.guest === guest && container.phase !== 'stopped') setPhase(container, 'lost');
      }
      void adoption.onGuestLost(guest);
    },
    /** Lets go of everything; what is on record stays. */
    close(): void {
      undertakings.close();
      set.close();
    },
  };
}
export type Containers = ReturnType<typeof createContainers>;

/** It has ended, and its restart policy has not had its turn yet. */
const willRestart = (container: Container): boolean =>
  container.phase === 'stopped' && restartOf(container) !== undefined;

/** Whether the agent may have done it all the same. */
const isUnsure = (error: unknown): boolean =>
  error instanceof OffloadError && (error.code === 'guest_lost' || error.code === 'deadline_exceeded');

const isDeadly = (signal: string, { stopSignal = DEFAULT_STOP_SIGNAL }: Policies): boolean =>
  signal === 'SIGKILL' || signal === stopSignal;
