/** The containers of a plane, put together: what users do with them, and what other parts of the plane need. */
import type { AgentEvent } from '../../interconnect/agent-api.ts';
import type { Guest } from '../guests/guest.ts';
import type { Guests } from '../guests/guests.ts';
import type { Images } from '../images/images.ts';
import type { Journal } from '../journal/journal.ts';
import type { Logger } from '../logger.ts';
import type { Answers } from '../operations/answers.ts';
import type { Operations } from '../operations/operations.ts';
import type { Database } from '../state/database.ts';
import type { Volumes } from '../volumes/volumes.ts';
import { type AdoptionDeps, createAdoption } from './adoption.ts';
import { type Container, type ContainerRecipe, setPhase } from './container.ts';
import { createContainerDisks } from './container-disks.ts';
import { openContainerRecords } from './container-records.ts';
import { createContainerSet } from './container-set.ts';
import type { IntentOf } from './intents.ts';
import { createLifecycle } from './lifecycle.ts';
import { createMaking } from './making.ts';
import { createMoves } from './moves.ts';
import { type CreateRequest, hostnameOf } from './recipe.ts';
import { createUndertakings } from './undertakings.ts';
import { createVerbs } from './verbs.ts';
import { type ContainerView, viewOf } from './view.ts';

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
  const { database, guests, randomBytes, wallMs } = deps;
  const timeoutFor = (guest: Guest) => deps.callTimeoutMs * guest.deadlineScale;
  const newRequest = () => randomBytes(REQUEST_ID_BYTES).toString('hex');
  const records = openContainerRecords(database, deps.journal, wallMs, deps.onPhase);
  const disks = createContainerDisks({ ...deps, find: (id) => set.byId(id), timeoutFor });
  const set = createContainerSet({ ...deps, records, disks, timeoutFor });
  const undertakings = createUndertakings({ ...deps, records, newRequest });
  const lifecycle = createLifecycle({ guests, timeoutFor, attachDisks: disks.attach });
  const making = createMaking({ ...deps, records, disks, set, undertakings, lifecycle });
  const { remove } = making;
  const { startAgain, ...verbs } = createVerbs({ ...deps, set, undertakings, lifecycle, timeoutFor, remove });
  const moves = createMoves({ ...deps, set, undertakings, remove });
  const adoption = createAdoption({
    ...{ ...deps, set, disks, undertakings, lifecycle, timeoutFor },
    settleMoves: moves.settle,
    start: startAgain,
  });

  return {
    ...verbs,
    get: set.get,
    idOf: set.idOf,
    records: set.list,
    place: making.place,
    admit: set.admit,
    dismiss: set.dismiss,
    recorded: making.recorded,
    during: undertakings.during,
    isBusy: (id: string): boolean => undertakings.isBusy(id) || undertakings.isLeft(id),
    isUnfinished: undertakings.isUnfinished,
    startAgain,
    note: records.note,
    /** Whether a container with this recipe has its address to itself in this guest. */
    canKeepAddress: (guest: Guest, recipe: ContainerRecipe, instead?: Container): boolean =>
      set.addressHolder(guest, recipe.spec.address, instead) === undefined,
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
    replace: moves.replace,
    settleMoves: moves.settle,
    /** See cut-off-drains.ts. */
    leftDrains: undertakings.leftDrains,
    settleDrain: (intent: IntentOf<'drain'>) => undertakings.settle(intent, set.byId(intent.container)),
    publishAgain: () => set.publishAgain(moves.isLeft),
    adopt: adoption.adopt,
    create: async (request: CreateRequest): Promise<ContainerView> => viewOf(await making.create(request)),
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
