/**
 * Brings containers whose guest is lost back from their last checkpoint, where their policy says so. What does
 * not work now is tried again, later and later, and anew when a guest is there that was not.
 */
import { toOffloadError } from '../../platform/errors.ts';
import type { Guests } from '../guests/guests.ts';
import type { Logger } from '../logger.ts';
import type { Restores } from '../restores/restores.ts';
import type { Container } from './container.ts';
import type { Containers } from './containers.ts';

export interface RescuerDeps {
  containers: Pick<Containers, 'records' | 'isBusy' | 'place' | 'replace' | 'note'>;
  guests: Pick<Guests, 'find'>;
  restores: Pick<Restores, 'create'>;
  logger: Logger;
  /** Its containers may be told of yet: it was reached, and they are not taken up. */
  isBeingAdopted: (guest: string) => boolean;
  /** Default: see there. */
  retry?: RescueRetry;
}

export interface RescueRetry {
  firstMs: number;
  maxMs: number;
  maxTries: number;
}

/** Over some eight minutes. */
const RETRY: RescueRetry = { firstMs: 1_000, maxMs: 60_000, maxTries: 13 };

interface Series {
  failures: number;
  timer?: NodeJS.Timeout;
}

export function createRescuer(deps: RescuerDeps) {
  const { containers, guests, restores, logger, retry = RETRY } = deps;
  /** By container: those that are being brought back, or could not be. */
  const series = new Map<string, Series>();
  let closed = false;

  function isWanted({ id, phase, guest, policies }: Container): boolean {
    if (closed || phase !== 'lost' || policies.onLost !== 'restore' || containers.isBusy(id)) return false;
    // A guest that has not been reached yet, or only now, may give it back.
    return guests.find(guest)?.phase !== 'unreachable' && !deps.isBeingAdopted(guest);
  }

  async function attempt(id: string, own: Series): Promise<void> {
    const container = containers.records().find((candidate) => candidate.id === id);
    if (container === undefined || !isWanted(container)) return void series.delete(id);
    const { name, lastCheckpoint: checkpoint, ports, policies, labels } = container;
    if (checkpoint === undefined) return containers.note(container, 'not-restored', 'it has no checkpoint');
    try {
      await containers.replace(container, () => {
        const { guest } = containers.place({ name });
        return restores.create({ checkpoint, guest, name, ports, like: { policies, labels } });
      });
      series.delete(id);
    } catch (error) {
      if (!closed) tryLater(container, own, toOffloadError(error, `restore container ${name}`).message);
    }
  }

  function tryLater(container: Container, own: Series, why: string): void {
    own.failures += 1;
    const isLast = own.failures >= retry.maxTries;
    const delayMs = Math.min(retry.firstMs * 2 ** (own.failures - 1), retry.maxMs);
    const next = isLast ? `given up after ${own.failures} tries` : `tried again in ${delayMs} ms`;
    const reason = `${why}; ${next}`;
    logger.warn({ container: container.name, reason }, 'lost, and not restored');
    containers.note(container, 'not-restored', reason);
    if (!isLast) own.timer = setTimeout(() => void attempt(container.id, own), delayMs);
  }

  function begin(container: Container): void {
    if (!isWanted(container)) return;
    clearTimeout(series.get(container.id)?.timer);
    const own: Series = { failures: 0 };
    series.set(container.id, own);
    void attempt(container.id, own);
  }

  return {
    onLost(container: Container): void {
      if (!series.has(container.id)) begin(container);
    },
    /** A guest is there that was not, or it is clear which are not. */
    onGuests(): void {
      for (const container of containers.records()) begin(container);
    },
    close(): void {
      closed = true;
      for (const { timer } of series.values()) clearTimeout(timer);
    },
  };
}
