/** The guests a plane manages, by name; what is on record of them outlives the plane. */
import type { AgentEvent, Health } from '../../interconnect/agent-api.ts';
import { OffloadError, toOffloadError } from '../../platform/errors.ts';
import type { Journal } from '../journal/journal.ts';
import type { Database } from '../state/database.ts';
import { openDocuments } from '../state/documents.ts';
import { type Guest, type GuestDeps, type GuestMemory, openGuest } from './guest.ts';
import { GuestRecord, type GuestRegistration } from './guest-record.ts';

export interface GuestsDeps extends GuestDeps {
  database: Database;
  journal: Journal;
  /** Its agent is another than the one that was known: no container of that one is left. */
  onNewInstance(guest: string): void;
}

export function createGuests(deps: GuestsDeps) {
  const { database, journal } = deps;
  const records = openDocuments(database, 'guest', GuestRecord);
  const known = new Map(records.list().map(({ id, value }) => [id, value]));
  const guests = new Map<string, Guest>();
  const opening = new Set<string>();

  function get(name: string): Guest {
    const guest = guests.get(name);
    if (!guest) throw new OffloadError('not_found', `guest ${name}: there is none of this name`);
    return guest;
  }

  function save(name: string, record: GuestRecord): void {
    records.put(name, record);
    database.afterCommit(() => known.set(name, record));
  }

  const note = (guest: string, event: string) => journal.append({ type: 'guest', event, guest });

  const memoryOf = (registration: GuestRegistration): GuestMemory => ({
    read: () => known.get(registration.name),
    reached(health: Health): void {
      const { name } = registration;
      const before = known.get(name);
      const isSame = before?.health.instanceId === health.instanceId;
      database.transaction(() => {
        const fresh = { registration, cordoned: false, ...before, health };
        save(name, { ...fresh, lastEvent: isSame ? before.lastEvent : 0 });
        if (before && !isSame) {
          note(name, 'rebooted');
          deps.onNewInstance(name);
        } else if (before && before.health.startId !== health.startId) {
          note(name, 'agent_restarted');
          database.afterCommit(() => deps.observer?.agentRestarted(name));
        }
      });
    },
    seen(event: AgentEvent): void {
      const { name } = registration;
      const record = known.get(name);
      if (!record || event.sequence <= record.lastEvent) return;
      database.transaction(() => {
        deps.onEvent(event, name);
        save(name, { ...record, lastEvent: event.sequence });
      });
    },
  });

  const open = (registration: GuestRegistration) =>
    openGuest(registration, memoryOf(registration), {
      ...deps,
      onPhase(guest) {
        note(registration.name, guest.phase);
        deps.onPhase(guest);
      },
    });

  async function forget(name: string, guest: Guest): Promise<void> {
    guests.delete(name);
    await guest.close();
    records.delete(name);
    known.delete(name);
  }

  function setCordoned(name: string, cordoned: boolean): Guest {
    const guest = get(name);
    const record = known.get(name);
    if (record && record.cordoned !== cordoned) {
      database.transaction(() => {
        save(name, { ...record, cordoned });
        note(name, cordoned ? 'cordoned' : 'uncordoned');
      });
    }
    return guest;
  }

  return {
    get,
    find: (name: string) => guests.get(name),
    list: () => [...guests.values()],
    /** Those on record, reached or not. */
    known: () => [...known.keys()],
    /** Starts to reach the guests that an earlier plane knew. */
    async adopt(): Promise<void> {
      for (const [name, { registration }] of known) {
        guests.set(name, (await open(registration)).guest);
      }
    },
    async register(registration: GuestRegistration): Promise<Guest> {
      const { name } = registration;
      if (guests.has(name) || opening.has(name)) {
        throw new OffloadError('already_exists', `register guest ${name}: the name is taken`);
      }
      opening.add(name);
      try {
        const { guest, reached } = await open(registration);
        try {
          await within(reached, deps.connectTimeoutMs, guest);
        } catch (error) {
          await forget(name, guest);
          throw error;
        }
        guests.set(name, guest);
        note(name, 'registered');
        return guest;
      } finally {
        opening.delete(name);
      }
    },
    cordon: (name: string) => setCordoned(name, true),
    uncordon: (name: string) => setCordoned(name, false),
    async unregister(name: string): Promise<void> {
      const guest = get(name);
      await forget(name, guest);
      note(name, 'forgotten');
      deps.onPhase(guest);
    },
    async close(): Promise<void> {
      await Promise.allSettled([...guests.values()].map((guest) => guest.close()));
      guests.clear();
    },
  };
}
export type Guests = ReturnType<typeof createGuests>;

/** @throws {OffloadError} deadline_exceeded with why it was not reached */
async function within(reached: Promise<void>, timeoutMs: number, guest: Guest): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const expired = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const { name } = guest.registration;
      const reason = guest.lastError ? ` (${toOffloadError(guest.lastError, 'reach').message})` : '';
      reject(
        new OffloadError(
          'deadline_exceeded',
          `register guest ${name}: reach its agent: not within ${timeoutMs} ms${reason}`,
        ),
      );
    }, timeoutMs);
  });
  await Promise.race([reached, expired]).finally(() => clearTimeout(timer));
}
