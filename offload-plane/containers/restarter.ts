/** Starts containers again, as their restart policies say. */
import { toOffloadError } from '../../platform/errors.ts';
import type { Guests } from '../guests/guests.ts';
import type { Logger } from '../logger.ts';
import type { Container } from './container.ts';
import type { Containers } from './containers.ts';
import { restartOf } from './restart-policy.ts';

export interface RestarterDeps {
  containers: Containers;
  guests: Guests;
  logger: Logger;
}

/** A start that failed for another reason than the container itself is tried again after so long. */
const RETRY_MS = 5_000;

export function createRestarter({ containers, guests, logger }: RestarterDeps) {
  const timers = new Map<string, NodeJS.Timeout>();

  function schedule(id: string, delayMs: number, restartCount: number): void {
    clearTimeout(timers.get(id));
    const timer = setTimeout(() => {
      timers.delete(id);
      void restart(id, restartCount);
    }, delayMs);
    timers.set(id, timer);
  }

  async function restart(id: string, restartCount: number): Promise<void> {
    const container = containers.records().find((candidate) => candidate.id === id);
    // Somebody may have started, stopped or removed it meanwhile.
    if (container?.phase !== 'stopped' || containers.isBusy(id)) return;
    if (guests.find(container.guest)?.phase !== 'ready') return;
    try {
      await containers.startAgain(container, restartCount);
    } catch (error) {
      const reason = toOffloadError(error, `restart container ${container.name}`).message;
      logger.warn({ container: container.name, reason }, 'not restarted');
      if (container.phase === 'stopped') schedule(id, RETRY_MS, restartCount);
    }
  }

  function consider(container: Container, planeStarted = false): void {
    if (container.phase !== 'stopped' || timers.has(container.id)) return;
    const wanted = restartOf(container, planeStarted);
    if (wanted) schedule(container.id, wanted.delayMs, wanted.restartCount);
  }

  return {
    /** It has ended. */
    onStopped: (container: Container): void => consider(container),
    /** The guest was reached and its containers taken up; first by this plane, or again. */
    onAdopted(guest: string, isFirst: boolean): void {
      for (const container of containers.records()) {
        if (container.guest === guest) consider(container, isFirst);
      }
    },
    close(): void {
      for (const timer of timers.values()) clearTimeout(timer);
      timers.clear();
    },
  };
}
