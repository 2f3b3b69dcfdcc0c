/**
 * Names and ports that were on their way from one container to the one in its place when a plane ended. They go
 * on with the new one if that runs, and back to the old one if it does not. No guest is needed for that.
 */
import { toOffloadError } from '../../platform/errors.ts';
import type { Logger } from '../logger.ts';
import type { Container } from './container.ts';
import type { ContainerSet } from './container-set.ts';
import type { IntentOf } from './intents.ts';
import type { Undertakings } from './undertakings.ts';

export interface MovesDeps {
  set: Pick<ContainerSet, 'list' | 'byId' | 'rename' | 'publishOwn'>;
  undertakings: Pick<Undertakings, 'leftover' | 'settle'>;
  remove: (container: Container) => Promise<void>;
  logger: Logger;
}

type Move = IntentOf<'move'>;

export function createMoves({ set, undertakings, remove, logger }: MovesDeps) {
  const left = (): Move[] =>
    undertakings.leftover().filter((intent): intent is Move => intent.verb === 'move');

  async function settle(intent: Move): Promise<void> {
    const old = set.byId(intent.container);
    const holder = set.list().find(({ name }) => name === intent.name);
    // What becomes of the new one is not decided yet.
    if (undertakings.leftover().some(({ container }) => container === holder?.id && holder !== old)) return;
    if (old && holder && holder !== old) await remove(old);
    else if (old && holder !== old) {
      set.rename(old, intent.name);
      await set.publishOwn(old);
    }
    undertakings.settle(intent, set.byId(intent.container));
  }

  return {
    /** Ports of its container may be those of the new one. */
    isLeft: (id: string): boolean => left().some(({ container }) => container === id),
    /** At a start, and whenever more is known. */
    async settle(): Promise<void> {
      for (const intent of left()) {
        await settle(intent).catch((error: unknown) => {
          const reason = toOffloadError(error, `move container ${intent.name}`).message;
          logger.warn({ container: intent.container, reason }, 'cut off, and not finished');
        });
      }
    },
  };
}
