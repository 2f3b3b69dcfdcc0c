/** The disks that a container needs in its guest. */
import type { ContainerSpec } from '../../interconnect/agent-api.ts';
import type { Guest } from '../guests/guest.ts';
import type { ImageStore } from '../images/image-store.ts';
import type { Logger } from '../logger.ts';
import type { Container } from './container.ts';

export type AttachedDisks = Pick<ContainerSpec, 'rootfsLun'>;

export function createContainerDisks({ images, logger }: { images: ImageStore; logger: Logger }) {
  return {
    /** Attaches what is not there yet; it stays until the container is gone. Gives its part of the spec. */
    async attach(guest: Guest, { id, recipe }: Container): Promise<AttachedDisks> {
      const { rootfsPath: path } = images.get(recipe.imageDigest);
      return { rootfsLun: await guest.disks.hold({ path, readOnly: true }, id) };
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
