/**
 * Takes up the containers of a guest that was reached (again): the records follow what is there, and what was
 * cut off is finished or rolled back, under the ids that its calls had.
 */
import { OffloadError, toOffloadError } from '../../platform/errors.ts';
import type { Guest } from '../guests/guest.ts';
import type { Logger } from '../logger.ts';
import type { Operations } from '../operations/operations.ts';
import { type Container, setPhase } from './container.ts';
import type { ContainerDisks } from './container-disks.ts';
import type { ContainerSet } from './container-set.ts';
import type { Intent, IntentOf } from './intents.ts';
import type { Lifecycle } from './lifecycle.ts';
import { reconcile } from './reconcile.ts';
import type { Undertakings } from './undertakings.ts';
import { untilStopped } from './wait.ts';

export interface AdoptionDeps {
  set: ContainerSet;
  disks: ContainerDisks;
  undertakings: Undertakings;
  lifecycle: Lifecycle;
  logger: Logger;
  timeoutFor: (guest: Guest) => number;
  /** Whether a checkpoint is in the store, of one that was cut off. */
  isCommitted: (checkpoint: string, sinceMs: number) => Promise<boolean>;
  /** What a call that takes one answers. */
  inspectCheckpoint: (checkpoint: string) => Promise<unknown>;
  operations: Pick<Operations, 'endLeft'>;
  /** Of a restore, which may go on for long; see Restores.takeUp. */
  takeUpRestore: (container: Container, intent: Intent) => Promise<{ over?: Promise<void> }>;
  settleMoves: () => Promise<void>;
  /** Of a restart, what was left to do. */
  start: (container: Container) => Promise<void>;
}

export function createAdoption(deps: AdoptionDeps) {
  const { set, disks, undertakings, lifecycle, logger, timeoutFor } = deps;
  const own = (guest: Guest) => set.list().filter((container) => container.guest === guest.registration.name);

  function isOf(intent: Intent, guest: Guest): boolean {
    const container = set.byId(intent.container);
    const name = intent.verb === 'discard' ? intent.guest : container?.guest;
    return name === undefined || name === guest.registration.name;
  }

  async function correct(guest: Guest, except: ReadonlySet<string>): Promise<void> {
    const timeoutMs = timeoutFor(guest);
    const listed = await guest.agent.call('listContainers', undefined, { timeoutMs });
    const settled = own(guest).filter(({ id }) => !except.has(id) && !undertakings.isBusy(id));
    for (const { id, phase, exitCode } of reconcile(settled, listed)) {
      const container = set.byId(id);
      if (container) setPhase(container, phase, exitCode === undefined ? {} : { exitCode });
    }
  }

  async function holdDisks(guest: Guest): Promise<void> {
    for (const container of own(guest)) {
      await disks.attach(guest, container).catch((error: Error) => {
        logger.warn({ container: container.name, error: error.message }, 'disks not attached again');
      });
    }
    await guest.disks.detachUnheld();
  }

  /** A restore whose pages are still on their way. */
  async function goesOn(intent: Intent): Promise<boolean> {
    const container = set.byId(intent.container);
    if (intent.verb !== 'restore' || container === undefined) return false;
    const { over } = await deps.takeUpRestore(container, intent);
    if (over) undertakings.goOn(intent, container, over);
    return over !== undefined;
  }

  async function finish(intent: Intent): Promise<void> {
    if (intent.verb === 'discard') {
      return lifecycle.remove({ id: intent.container, guest: intent.guest }, intent.request);
    }
    const container = set.byId(intent.container);
    if (container && intent.verb !== 'restore' && !isOfTwoGuests(intent)) await finishFor(container, intent);
  }

  async function finishFor(
    container: Container,
    intent: Exclude<Intent, IntentOf<'discard' | 'restore' | 'move' | 'drain'>>,
  ) {
    const { request } = intent;
    switch (intent.verb) {
      case 'create':
        return lifecycle.create(container, request).catch(async (error: unknown) => {
          if (!isUnreached(error)) await set.forget(container);
          throw error;
        });
      case 'start':
      case 'pause':
      case 'resume':
        return lifecycle[intent.verb](container, request);
      case 'kill':
        return lifecycle.kill(container, intent.signal, request);
      case 'stop':
        await lifecycle.stop(container, intent.signal, intent.graceMs, request);
        if (intent.thenStart) await deps.start(container);
        return;
      case 'remove':
        await lifecycle.remove(container, request);
        return set.forget(container);
      case 'checkpoint':
        return finishCheckpoint(container, intent);
    }
  }

  /** The container runs on, unless it was to end and all of the checkpoint is in the store. */
  async function finishCheckpoint(container: Container, intent: IntentOf<'checkpoint'>): Promise<void> {
    const committed = await deps.isCommitted(intent.checkpoint, intent.sinceMs);
    const action = committed && intent.after === 'stop' ? 'stop' : 'resume';
    await lifecycle.finishCheckpoint(container, action, committed, intent.request);
    container.recorder.change(container, {
      desired: action === 'stop' ? 'stopped' : 'running',
      ...(committed ? { lastCheckpoint: intent.checkpoint } : {}),
    });
    if (action === 'stop') await untilStopped(container, lifecycle.timeoutOf(container));
  }

  /** Its operation says what became of it. @returns whether it is in the store */
  async function endCheckpoint({ checkpoint, sinceMs, operation }: IntentOf<'checkpoint'>): Promise<boolean> {
    const name = `checkpoint ${checkpoint}`;
    try {
      if (!(await deps.isCommitted(checkpoint, sinceMs))) {
        throw new OffloadError('interrupted', `${name}: the plane ended before all of it was in the store`);
      }
      deps.operations.endLeft(operation, { result: await deps.inspectCheckpoint(checkpoint) });
      return true;
    } catch (error) {
      deps.operations.endLeft(operation, { error: toOffloadError(error, name) });
      return false;
    }
  }

  async function settle(intent: Intent): Promise<void> {
    try {
      if (await goesOn(intent)) return;
      await finish(intent);
    } catch (error) {
      // When the guest comes back there is another try.
      if (isUnreached(error)) throw error;
      const reason = toOffloadError(error, intent.verb).message;
      logger.warn({ container: intent.container, verb: intent.verb, reason }, 'cut off, and not finished');
    }
    const committed = intent.verb === 'checkpoint' && (await endCheckpoint(intent));
    undertakings.settle(intent, set.byId(intent.container), committed);
  }

  async function adopt(guest: Guest): Promise<void> {
    const cutOff = undertakings.leftover().filter((intent) => !isOfTwoGuests(intent) && isOf(intent, guest));
    await correct(guest, new Set(cutOff.map(({ container }) => container)));
    await holdDisks(guest);
    const [restores, others] = [cutOff.filter(isRestore), cutOff.filter((intent) => !isRestore(intent))];
    for (const intent of others) await settle(intent);
    await Promise.all(restores.map(settle));
    if (cutOff.length > 0) await correct(guest, new Set());
    await deps.settleMoves();
  }

  return {
    adopt,
    /** What was cut off there is settled when it comes back; what can be told now is told. */
    async onGuestLost(guest: string): Promise<void> {
      for (const intent of undertakings.leftover()) {
        const lost = set.byId(intent.container)?.guest === guest;
        if (lost && intent.verb === 'checkpoint') await endCheckpoint(intent);
      }
    },
  };
}

/** See moves.ts and cut-off-drains.ts. */
const isOfTwoGuests = (intent: Intent): intent is IntentOf<'move' | 'drain'> =>
  intent.verb === 'move' || intent.verb === 'drain';
const isRestore = ({ verb }: Intent): boolean => verb === 'restore';
const isUnreached = (error: unknown): boolean => error instanceof OffloadError && error.code === 'guest_lost';
