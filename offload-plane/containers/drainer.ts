/**
 * Empties a guest: what runs there is checkpointed and restored in other guests, one container at a time.
 * A container that cannot go is left as it is, or stopped, and the answer says why.
 */
import { OffloadError, toOffloadError } from '../../platform/errors.ts';
import type { Checkpoints } from '../checkpoints/checkpoints.ts';
import type { Guests } from '../guests/guests.ts';
import type { DrainResult } from '../http-api/schemas/guests.ts';
import type { Restores } from '../restores/restores.ts';
import type { Container } from './container.ts';
import type { Containers } from './containers.ts';
import { restoreInstead } from './restore-instead.ts';

export interface DrainRequest {
  guest: string;
  /** What becomes of a container that runs and cannot go: it stays, or it is stopped. */
  rest: 'leave' | 'stop';
}

export interface DrainFollowing {
  signal: AbortSignal;
  progress(text: string, fraction?: number): void;
}

export interface DrainerDeps {
  containers: Containers;
  guests: Guests;
  checkpoints: Checkpoints;
  restores: Restores;
  wallMs: () => number;
}

export function createDrainer(deps: DrainerDeps) {
  const { containers, guests, checkpoints, wallMs } = deps;

  async function move(container: Container, signal: AbortSignal) {
    const { name, id } = container;
    // Before it is touched: there is a guest that takes it.
    const { guest } = containers.place({ name });
    const sinceMs = wallMs();
    const checkpoint = `drain-${id}-${sinceMs.toString(36)}`;
    // On record from before it is stopped until another runs in its place; see cut-off-drains.ts.
    const intent = { verb: 'drain', checkpoint, target: guest, sinceMs } as const;
    await containers.during(container, intent, () => moveTo(guest, container, checkpoint, signal));
    return { container: name, guest, checkpoint };
  }

  /** @throws why it could not go; it runs then where it was, unless the message says otherwise */
  async function moveTo(guest: string, container: Container, checkpoint: string, signal: AbortSignal) {
    const { name, id, guest: origin } = container;
    await checkpoints.create({ container: id, id: checkpoint, after: 'stop' }, { signal });
    try {
      await restoreInstead(deps, container, { guest, checkpoint });
    } catch (error) {
      const known = toOffloadError(error, `move container ${name}`);
      await restoreInstead(deps, container, { guest: origin, checkpoint }).catch((again: Error) => {
        throw new OffloadError(
          known.code,
          `${known.message}; it is stopped, and checkpoint ${checkpoint} has its state (${again.message})`,
        );
      });
      throw known;
    }
  }

  async function settleRest(container: Container, rest: DrainRequest['rest'], reason: string) {
    const { id, name } = container;
    const runs = container.phase === 'running' || container.phase === 'paused';
    if (rest === 'leave' || !runs) return { left: { container: name, reason } };
    try {
      await containers.stop(id, {});
      return { stopped: { container: name, reason } };
    } catch (error) {
      return { left: { container: name, reason: `${reason}; ${(error as Error).message}` } };
    }
  }

  return {
    /** Cordons the guest, and answers when every container there has had its turn. */
    async drain({ guest, rest }: DrainRequest, { signal, progress }: DrainFollowing): Promise<DrainResult> {
      guests.cordon(guest);
      const present = containers
        .records()
        .filter((container) => container.guest === guest && container.phase !== 'stopped');
      const result: DrainResult = { guest, moved: [], stopped: [], left: [] };
      for (const [index, container] of present.entries()) {
        signal.throwIfAborted();
        progress(`moving ${container.name}`, index / present.length);
        try {
          result.moved.push(await move(container, signal));
        } catch (error) {
          signal.throwIfAborted();
          const { message } = toOffloadError(error, `move container ${container.name}`);
          const { left, stopped } = await settleRest(container, rest, message);
          if (left) result.left.push(left);
          if (stopped) result.stopped.push(stopped);
        }
      }
      return result;
    },
  };
}
export type Drainer = ReturnType<typeof createDrainer>;
