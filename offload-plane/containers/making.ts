/** How a container comes to be and how it goes, on record and in its guest. */
import { OffloadError } from '../../platform/errors.ts';
import { expectAlive } from '../guests/guest.ts';
import type { Guests } from '../guests/guests.ts';
import type { Images } from '../images/images.ts';
import type { Database } from '../state/database.ts';
import type { Container } from './container.ts';
import type { ContainerDisks } from './container-disks.ts';
import type { ContainerRecords } from './container-records.ts';
import type { ContainerSet } from './container-set.ts';
import type { Verb } from './intents.ts';
import type { Lifecycle } from './lifecycle.ts';
import { newName } from './names.ts';
import { chooseGuestFor } from './place.ts';
import { type CreateRequest, policiesOf, recipeOf } from './recipe.ts';
import type { Undertakings } from './undertakings.ts';

export interface MakingDeps {
  database: Database;
  guests: Guests;
  images: Pick<Images, 'get'>;
  records: ContainerRecords;
  disks: ContainerDisks;
  set: ContainerSet;
  undertakings: Undertakings;
  lifecycle: Lifecycle;
  randomBytes: (byteCount: number) => Buffer;
}

export function createMaking(deps: MakingDeps) {
  const { database, guests, images, records, disks, set, undertakings, lifecycle, randomBytes } = deps;

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
      return undertakings.during(container, verb, work);
    });
  }

  async function remove(container: Container): Promise<void> {
    const guest = guests.find(container.guest);
    if (!guest || guest.lost) return forgetUnsure(container);
    await undertakings.during(container, { verb: 'remove' }, async (id) => {
      await lifecycle.remove(container, id);
      await set.forget(container);
    });
  }

  return { place, create, recorded, remove };
}

/** Whether the agent may have done it all the same. */
const isUnsure = (error: unknown): boolean =>
  error instanceof OffloadError && (error.code === 'guest_lost' || error.code === 'deadline_exceeded');
