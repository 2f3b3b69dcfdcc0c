/**
 * Containers that an earlier plane was moving out of a guest when it ended. One that was stopped with its checkpoint
 * comes back from it: where it was to go, else in another guest, else where it was. One that runs stays. Events tell.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { OffloadError, toOffloadError } from '../../platform/errors.ts';
import type { Guests } from '../guests/guests.ts';
import type { Logger } from '../logger.ts';
import type { AdoptionDeps } from './adoption.ts';
import type { Container } from './container.ts';
import type { Containers } from './containers.ts';
import type { IntentOf } from './intents.ts';
import { type RestoreInsteadDeps, restoreInstead } from './restore-instead.ts';

export interface CutOffDrainsDeps extends RestoreInsteadDeps {
  containers: RestoreInsteadDeps['containers'] &
    Pick<Containers, 'records' | 'place' | 'note' | 'leftDrains' | 'settleDrain'>;
  guests: Pick<Guests, 'find'>;
  isCommitted: AdoptionDeps['isCommitted'];
  /** Its containers are known to be as they are on record. */
  isAdopted: (guest: string) => boolean;
  logger: Logger;
  /** Default: see there. */
  retry?: typeof RETRY;
}

type Drain = IntentOf<'drain'>;

/** Over some three minutes. */
const RETRY = { firstMs: 1_000, maxMs: 60_000, maxTries: 9 };

export function createCutOffDrains(deps: CutOffDrainsDeps) {
  const { containers, guests, logger, retry = RETRY } = deps;
  const closing = new AbortController();
  /** By request: what is being finished. */
  const busy = new Set<string>();

  const find = (id: string): Container | undefined =>
    containers.records().find((container) => container.id === id);

  function isDecided({ container: id }: Drain): boolean {
    const container = find(id);
    return container === undefined || isAway(container) || deps.isAdopted(container.guest);
  }

  /** Where it can go, the best first. */
  function placesFor({ name, guest: origin }: Container, target: string): string[] {
    const isReady = (guest: string) => guests.find(guest)?.phase === 'ready';
    const places = isReady(target) && !guests.find(target)?.cordoned ? [target] : [];
    try {
      places.push(containers.place({ name }).guest);
    } catch (error) {
      if (places.length === 0 && !isReady(origin)) throw error;
    }
    return [...new Set([...places, ...(isReady(origin) ? [origin] : [])])];
  }

  async function bringBack(container: Container, { checkpoint, target }: Drain): Promise<void> {
    const { name, guest: origin } = container;
    let reason = new OffloadError('invalid_state', `move container ${name}: no guest takes it`);
    for (const guest of placesFor(container, target)) {
      closing.signal.throwIfAborted();
      try {
        await restoreInstead(deps, container, { guest, checkpoint });
        const moved = containers.records().find((candidate) => candidate.name === name);
        if (moved) containers.note(moved, 'moved', `from guest ${origin}, by checkpoint ${checkpoint}`);
        return;
      } catch (error) {
        reason = toOffloadError(error, `move container ${name}`);
      }
    }
    throw reason;
  }

  /** @returns whether there is nothing left to do */
  async function tryOnce(intent: Drain, next: string): Promise<boolean> {
    const container = find(intent.container);
    if (container === undefined) return true;
    try {
      if (!isAway(container) || !(await deps.isCommitted(intent.checkpoint, intent.sinceMs))) {
        containers.note(container, 'not-moved', 'the plane ended while it was to be moved');
      } else await bringBack(container, intent);
      return true;
    } catch (error) {
      const reason = `${(error as Error).message}; checkpoint ${intent.checkpoint} has its state; ${next}`;
      if (closing.signal.aborted) return false;
      logger.warn({ container: container.name, reason }, 'not moved');
      containers.note(container, 'not-moved', reason);
      return false;
    }
  }

  async function finish(intent: Drain): Promise<void> {
    for (let tries = 1; tries <= retry.maxTries; tries += 1) {
      const delayMs = Math.min(retry.firstMs * 2 ** (tries - 1), retry.maxMs);
      const isLast = tries === retry.maxTries;
      if (await tryOnce(intent, isLast ? 'given up' : `tried again in ${delayMs} ms`)) break;
      if (!isLast) await delay(delayMs, undefined, { signal: closing.signal });
    }
    containers.settleDrain(intent);
  }

  return {
    /** What can be decided now; to be asked again when a guest was reached. */
    async finish(): Promise<void> {
      const decided = containers
        .leftDrains()
        .filter((intent) => !busy.has(intent.request) && isDecided(intent));
      for (const { request } of decided) busy.add(request);
      await Promise.all(
        // A plane that ends leaves it to the next one.
        decided.map((intent) => finish(intent).catch(() => undefined)),
      );
      for (const { request } of decided) busy.delete(request);
    },
    close: (): void => closing.abort(),
  };
}

const isAway = ({ phase }: Container): boolean => phase === 'stopped' || phase === 'lost';
