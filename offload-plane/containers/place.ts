/** Where a container goes that names no guest. */
import { type Candidate, chooseGuest } from '../guests/choose.ts';
import type { Guest } from '../guests/guest.ts';
import type { Container } from './container.ts';

/** What a container without a memory limit is taken to need. */
const UNLIMITED_BYTES = 128 * 1024 * 1024;

/** A guest tells its free memory when it is reached; what was promised to containers is taken off. */
export function chooseGuestFor(
  name: string,
  guests: readonly Guest[],
  containers: readonly Container[],
): string {
  const candidates = guests.map((guest): Candidate => {
    const own = containers.filter(
      ({ guest: home, phase }) => home === guest.registration.name && phase !== 'stopped' && phase !== 'lost',
    );
    const promised = own.reduce(
      (sum, { recipe }) => sum + (recipe.spec.memoryLimitBytes ?? UNLIMITED_BYTES),
      0,
    );
    return {
      name: guest.registration.name,
      ready: guest.phase === 'ready',
      cordoned: guest.cordoned,
      freeBytes: guest.health.memoryAvailableBytes - promised,
    };
  });
  return chooseGuest(candidates, `create container ${name}`);
}
