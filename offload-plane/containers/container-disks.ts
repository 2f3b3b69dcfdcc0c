/** The disks that a container needs in its guest: its image, and its volumes. */
import { OffloadError } from '../../platform/errors.ts';
import type { Guest } from '../guests/guest.ts';
import type { Guests } from '../guests/guests.ts';
import type { Images } from '../images/images.ts';
import type { Logger } from '../logger.ts';
import type { Volumes } from '../volumes/volumes.ts';
import type { Container, VolumeMount } from './container.ts';

/** Their part of the agent's spec. */
export interface AttachedDisks {
  rootfsLun: number;
  volumes?: { lun: number; destination: string; readOnly: boolean }[];
}

export interface ContainerDisksDeps {
  guests: Guests;
  images: Pick<Images, 'get'>;
  volumes: Pick<Volumes, 'get' | 'ensure'>;
  logger: Logger;
  find(id: string): Container | undefined;
  timeoutFor(guest: Guest): number;
}

export function createContainerDisks(deps: ContainerDisksDeps) {
  const { guests, images, volumes, logger, find, timeoutFor } = deps;
  /** The last volume on its way: whether another guest has one is asked and answered one after the other. */
  let tail: Promise<unknown> = Promise.resolve();

  /**
   * Takes a volume from containers in other guests that have ended.
   * @throws {OffloadError} invalid_state naming a container that has not
   */
  async function makeFree(name: string, path: string, guest: Guest): Promise<void> {
    for (const other of guests.list()) {
      if (other === guest || other.lost) continue;
      const holders = other.disks.holdersOf(path);
      const user = holders.find((id) => find(id)?.phase !== 'stopped');
      if (user !== undefined) {
        const [here, there] = [guest.registration.name, other.registration.name];
        throw new OffloadError(
          'invalid_state',
          `attach volume ${name} to guest ${here}: container ${find(user)?.name ?? user} of guest ${there} has it`,
        );
      }
      for (const id of holders) {
        await other.agent.call('releaseVolumes', {}, { params: { id }, timeoutMs: timeoutFor(other) });
        await other.disks.releaseVolumes(id);
      }
    }
  }

  async function attachVolumes(guest: Guest, { id, recipe }: Container) {
    const mounts: NonNullable<AttachedDisks['volumes']> = [];
    for (const { name, destination, readOnly } of recipe.volumes ?? []) {
      const { path } = await volumes.get(name);
      await makeFree(name, path, guest);
      mounts.push({ lun: await guest.disks.hold({ path, readOnly: false }, id), destination, readOnly });
    }
    return mounts;
  }

  return {
    /** For a container that is new, what is not there is made; one that is restored must find what it had. */
    async ensureVolumes(mounts: readonly VolumeMount[]): Promise<void> {
      for (const { name } of mounts) await volumes.ensure(name);
    },
    /** Attaches what is not there yet; it stays until the container is gone. Gives its part of the spec. */
    async attach(guest: Guest, container: Container): Promise<AttachedDisks> {
      const { id, recipe } = container;
      const { rootfsPath: path } = images.get(recipe.imageDigest);
      const rootfsLun = await guest.disks.hold({ path, readOnly: true }, id);
      if (!recipe.volumes?.length) return { rootfsLun };
      const attached = tail.then(() => attachVolumes(guest, container));
      tail = attached.catch(() => undefined);
      return { rootfsLun, volumes: await attached };
    },
    /** Once the agent has unmounted them. A guest that is lost has none to let go. */
    async release(guest: Guest | undefined, { id }: Container): Promise<void> {
      if (!guest || guest.lost) return;
      await guest.disks.release(id).catch((error: Error) => {
        logger.warn({ container: id, error: error.message }, 'disks not detached');
      });
    },
  };
}
export type ContainerDisks = ReturnType<typeof createContainerDisks>;
