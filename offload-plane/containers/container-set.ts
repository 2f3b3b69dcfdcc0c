/** The containers that there are, with their records, addresses and ports. */
import { pollUntil } from '../../platform/deadline.ts';
import { OffloadError } from '../../platform/errors.ts';
import type { Guest } from '../guests/guest.ts';
import type { Guests } from '../guests/guests.ts';
import type { Database } from '../state/database.ts';
import { type AddressPool, createAddressPool } from './addresses.ts';
import type { Container, ContainerRecipe, PortRequest, RestoreOrigin } from './container.ts';
import type { ContainerDisks } from './container-disks.ts';
import type { ContainerRecords } from './container-records.ts';
import type { Policies } from './policies.ts';
import { type PublishDeps, publishPort } from './publish.ts';
import { createRegistry } from './registry.ts';

export interface ContainerSetDeps extends PublishDeps {
  database: Database;
  guests: Guests;
  records: ContainerRecords;
  disks: ContainerDisks;
  randomBytes: (byteCount: number) => Buffer;
  wallMs: () => number;
}

export interface Admission {
  name: string;
  guest: Guest;
  recipe: ContainerRecipe;
  ports: readonly PortRequest[];
  phase: 'created' | 'restoring';
  policies?: Policies;
  labels?: Record<string, string>;
  restoredFrom?: RestoreOrigin;
  /** It has ended, and this one takes its place: they may have one address. */
  instead?: Container;
}

/** An address that another process had taken while the plane was away may become free. */
const REPUBLISH = { timeoutMs: 30_000, intervalMs: 500 };

export function createContainerSet(deps: ContainerSetDeps) {
  const { database, guests, records, disks, logger } = deps;
  const registry = createRegistry(deps.randomBytes);
  const addresses: AddressPool = createAddressPool();
  let closed = false;

  for (const { id, state } of records.list()) {
    registry.add({ id, ...state, recorder: records, forwards: [], onPhase: new Set() });
    addresses.keep(state.recipe.spec.address);
  }

  /** A checkpoint keeps its container's address, and a guest can have it once only. */
  const addressHolder = (guest: Guest, address: string, except?: Container): Container | undefined =>
    registry
      .list()
      .find(
        (other) =>
          other !== except &&
          other.guest === guest.registration.name &&
          other.recipe.spec.address === address &&
          other.phase !== 'lost',
      );

  function expectFreeAddress({ name, guest, recipe, instead }: Admission): void {
    const { address } = recipe.spec;
    const holder = addressHolder(guest, address, instead);
    if (holder === undefined) return;
    throw new OffloadError(
      'invalid_state',
      `create container ${name}: container ${holder.name} of guest ${holder.guest} has its address ${address}`,
    );
  }

  async function publish(container: Container, guest: Guest, port: PortRequest): Promise<void> {
    const forward = await publishPort(container, guest, port, deps);
    if (closed || !registry.byId(container.id)) forward.close();
    else container.forwards.push(forward);
  }

  function closePorts(container: Container): void {
    for (const forward of container.forwards) forward.close();
    container.forwards = [];
  }

  /** Forgets a container: its ports close, clients that were held are let go. */
  function dismiss(container: Container): void {
    closePorts(container);
    registry.remove(container);
    container.phase = 'stopped';
    for (const listener of [...container.onPhase]) listener('stopped');
    releaseAddress(container.recipe.spec.address);
  }

  function releaseAddress(address: string): void {
    const shared = registry.list().some((other) => other.recipe.spec.address === address);
    if (!shared) addresses.release(address);
  }

  function publishLater(container: Container, open: () => Promise<true>, port: number): void {
    const what = `publish port ${port} of container ${container.name} again`;
    void pollUntil(open, { ...REPUBLISH, what }).catch((error: Error) => {
      logger.error({ container: container.name, port }, error.message);
    });
  }

  return {
    ...registry,
    takeAddress: addresses.take,
    releaseAddress,
    addressHolder,
    closePorts,
    /** Its ports take clients from now on, held until it runs. It is not on record yet. */
    async admit(admission: Admission): Promise<Container> {
      const { name, guest, recipe, phase, policies = {}, labels = {}, restoredFrom } = admission;
      registry.expectFree(name, `create container ${name}`);
      expectFreeAddress(admission);
      const container: Container = {
        ...{ id: registry.newId(), name, guest: guest.registration.name, recipe, phase, policies, labels },
        ...{ ports: [], restartCount: 0, createdAtMs: deps.wallMs() },
        desired: phase === 'restoring' ? 'running' : 'stopped',
        ...(restoredFrom ? { restoredFrom, lastCheckpoint: restoredFrom.checkpoint } : {}),
        ...{ recorder: records, forwards: [], onPhase: new Set() },
      };
      registry.add(container);
      addresses.keep(recipe.spec.address);
      try {
        for (const port of admission.ports) await publish(container, guest, port);
      } catch (error) {
        dismiss(container);
        throw error;
      }
      container.ports = container.forwards.map(({ hostPort, containerPort }) => ({
        hostPort,
        containerPort,
      }));
      return container;
    },
    /** For one that was admitted and is not on record. */
    dismiss,
    /** Its record goes, and what it had here; the agent has deleted it, or will. */
    async forget(container: Container, also: () => void = () => {}): Promise<void> {
      database.transaction(() => {
        records.remove(container);
        records.note(container, 'removed');
        also();
      });
      dismiss(container);
      await disks.release(guests.find(container.guest), container);
    },
    rename(container: Container, name: string): void {
      const oldName = container.name;
      records.change(container, { name });
      database.afterCommit(() => registry.renamed(container, oldName));
    },
    /** Its ports as they were on record. */
    async publishOwn(container: Container): Promise<void> {
      const guest = guests.find(container.guest);
      for (const port of container.ports) if (guest) await publish(container, guest, port);
    },
    /** Opens the ports of the containers that an earlier plane knew, where they were. @param except of these */
    async publishAgain(except: (id: string) => boolean): Promise<void> {
      for (const container of registry.list()) {
        if (except(container.id)) continue;
        const guest = guests.find(container.guest);
        if (!guest) continue;
        for (const port of container.ports) {
          const open = async (): Promise<true> => {
            if (!closed && registry.byId(container.id)) await publish(container, guest, port);
            return true;
          };
          await open().catch(() => publishLater(container, open, port.hostPort));
        }
      }
    },
    close(): void {
      closed = true;
      for (const container of registry.list()) closePorts(container);
    },
  };
}
export type ContainerSet = ReturnType<typeof createContainerSet>;
