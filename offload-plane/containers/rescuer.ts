/** Brings containers whose guest is lost back from their last checkpoint, where their policy says so. */
import { toOffloadError } from '../../platform/errors.ts';
import type { Guests } from '../guests/guests.ts';
import type { Logger } from '../logger.ts';
import type { Restores } from '../restores/restores.ts';
import type { Container } from './container.ts';
import type { Containers } from './containers.ts';

export interface RescuerDeps {
  containers: Containers;
  guests: Guests;
  restores: Restores;
  logger: Logger;
}

export function createRescuer({ containers, guests, restores, logger }: RescuerDeps) {
  /** Another guest that takes containers. */
  const targetFor = (container: Container): string | undefined =>
    guests
      .list()
      .find(
        (guest) => guest.phase === 'ready' && !guest.cordoned && guest.registration.name !== container.guest,
      )?.registration.name;

  async function rescue(container: Container): Promise<void> {
    const { name, lastCheckpoint: checkpoint, ports, policies, labels } = container;
    const guest = targetFor(container);
    if (checkpoint === undefined || guest === undefined) {
      const reason = checkpoint === undefined ? 'it has no checkpoint' : 'no other guest takes it';
      containers.note(container, 'not-restored', reason);
      return;
    }
    try {
      await containers.replace(container, () =>
        restores.create({ checkpoint, guest, name, ports, like: { policies, labels } }),
      );
    } catch (error) {
      const reason = toOffloadError(error, `restore container ${name}`).message;
      logger.warn({ container: name, reason }, 'lost, and not restored');
      containers.note(container, 'not-restored', reason);
    }
  }

  return {
    onLost(container: Container): void {
      if (container.policies.onLost === 'restore') void rescue(container);
    },
  };
}
