/**
 * A container's name and ports go to the one in its place. Those that were on their way when a plane ended go on
 * with the new one if that runs, and back to the old one if it does not. No guest is needed for that.
 */
import { toOffloadError } from '../../platform/errors.ts';
import type { Logger } from '../logger.ts';
import type { Container } from './container.ts';
import type { ContainerSet } from './container-set.ts';
import type { IntentOf } from './intents.ts';
import type { Undertakings } from './undertakings.ts';

export interface MovesDeps {
  set: Pick<ContainerSet, 'list' | 'byId' | 'rename' | 'closePorts' | 'publishOwn'>;
  undertakings: Pick<Undertakings, 'during' | 'leftover' | 'settle'>;
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
    /**
     * Its name and ports go to what `make` makes; then it is gone, in its guest as soon as that is reached. When
     * that fails it has them back.
     */
    async replace(container: Container, make: () => Promise<unknown>): Promise<void> {
      const { name, id } = container;
      await undertakings.during(container, { verb: 'move', name }, async () => {
        set.rename(container, `${name.slice(0, 50)}.${id}`.slice(0, 63));
        set.closePorts(container);
        try {
          await make();
        } catch (error) {
          set.rename(container, name);
          await set.publishOwn(container);
          throw error;
        }
        await remove(container);
      });
    },
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
