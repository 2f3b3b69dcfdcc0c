/** The guests a plane manages, by name. */
import { OffloadError } from '../../platform/errors.ts';
import { type Guest, type GuestDeps, type GuestRegistration, openGuest } from './guest.ts';

export function createGuests(deps: GuestDeps) {
  const guests = new Map<string, Guest>();
  const opening = new Set<string>();

  function get(name: string): Guest {
    const guest = guests.get(name);
    if (!guest) throw new OffloadError('not_found', `guest ${name}: there is none of this name`);
    return guest;
  }

  return {
    get,
    find: (name: string) => guests.get(name),
    list: () => [...guests.values()],
    async register(registration: GuestRegistration): Promise<Guest> {
      const { name } = registration;
      if (guests.has(name) || opening.has(name)) {
        throw new OffloadError('already_exists', `register guest ${name}: the name is taken`);
      }
      opening.add(name);
      try {
        const guest = await openGuest(registration, deps);
        guests.set(name, guest);
        return guest;
      } finally {
        opening.delete(name);
      }
    },
    async unregister(name: string): Promise<void> {
      const guest = get(name);
      guests.delete(name);
      await guest.close();
      deps.onLost(name);
    },
    async close(): Promise<void> {
      await Promise.allSettled([...guests.values()].map((guest) => guest.close()));
      guests.clear();
    },
  };
}
export type Guests = ReturnType<typeof createGuests>;
