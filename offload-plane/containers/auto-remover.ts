/** Removes containers at their end, where their policy says so: `run --rm`. */
import { toOffloadError } from '../../platform/errors.ts';
import type { Guests } from '../guests/guests.ts';
import type { Logger } from '../logger.ts';
import type { Container } from './container.ts';
import type { Containers } from './containers.ts';

export interface AutoRemoverDeps {
  containers: Containers;
  guests: Guests;
  logger: Logger;
  /** Whether somebody still reads what it has written. */
  isRead: (id: string) => boolean;
}

/** One that is still read, or that something is done to, is looked at again after so long. */
const LOOK_AGAIN_MS = 100;
/** A removal that failed is tried again after so long. */
const RETRY_MS = 5_000;

export function createAutoRemover({ containers, guests, logger, isRead }: AutoRemoverDeps) {
  const timers = new Map<string, NodeJS.Timeout>();

  function schedule(id: string, delayMs: number): void {
    clearTimeout(timers.get(id));
    const timer = setTimeout(() => {
      timers.delete(id);
      void look(id);
    }, delayMs);
    timers.set(id, timer);
  }

  async function look(id: string): Promise<void> {
    const container = containers.records().find((candidate) => candidate.id === id);
    // Somebody may have started or removed it meanwhile.
    if (container?.phase !== 'stopped') return;
    if (containers.isBusy(id) || isRead(id)) return schedule(id, LOOK_AGAIN_MS);
    if (guests.find(container.guest)?.phase !== 'ready') return;
    try {
      await containers.remove(id, { force: false });
    } catch (error) {
      const reason = toOffloadError(error, `remove container ${container.name}`).message;
      logger.warn({ container: container.name, reason }, 'ended, and not removed');
      schedule(id, RETRY_MS);
    }
  }

  function consider(container: Container): void {
    if (container.phase === 'stopped' && container.policies.autoRemove) schedule(container.id, 0);
  }

  return {
    /** It has ended. */
    onStopped: consider,
    /** The guest was reached, and what ended meanwhile is known. */
    onAdopted(guest: string): void {
      for (const container of containers.records()) if (container.guest === guest) consider(container);
    },
    close(): void {
      for (const timer of timers.values()) clearTimeout(timer);
      timers.clear();
    },
  };
}
