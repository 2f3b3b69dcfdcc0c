/** What its user asks of a container that is there, by its name. */
import type { Guest } from '../guests/guest.ts';
import type { Guests } from '../guests/guests.ts';
import type { Answers } from '../operations/answers.ts';
import type { Database } from '../state/database.ts';
import { type Container, expectPhase, type PlanePhase } from './container.ts';
import type { ContainerSet } from './container-set.ts';
import type { Lifecycle } from './lifecycle.ts';
import { DEFAULT_STOP_GRACE_MS, DEFAULT_STOP_SIGNAL, type Policies } from './policies.ts';
import { restartOf } from './restart-policy.ts';
import type { Undertakings } from './undertakings.ts';
import { type ContainerView, viewOf } from './view.ts';
import { untilStopped } from './wait.ts';

export interface VerbsDeps {
  database: Database;
  answers: Pick<Answers, 'noteResult'>;
  guests: Guests;
  set: Pick<ContainerSet, 'get' | 'expectFree' | 'rename'>;
  undertakings: Pick<Undertakings, 'during'>;
  lifecycle: Lifecycle;
  timeoutFor: (guest: Guest) => number;
  remove: (container: Container) => Promise<void>;
}

export function createVerbs(deps: VerbsDeps) {
  const { database, answers, guests, set, lifecycle, timeoutFor, remove } = deps;
  const { get } = set;
  const { during } = deps.undertakings;

  /** @param thenStart it is to run again: the next plane starts it, if this one does not come to it */
  async function stop(
    container: Container,
    request: { signal?: string | undefined; graceMs?: number | undefined },
    thenStart = false,
  ) {
    const { stopSignal, stopGraceMs } = container.policies;
    const signal = request.signal ?? stopSignal ?? DEFAULT_STOP_SIGNAL;
    const graceMs = request.graceMs ?? stopGraceMs ?? DEFAULT_STOP_GRACE_MS;
    container.recorder.change(container, { desired: 'stopped' });
    await during(container, { verb: 'stop', signal, graceMs, thenStart }, async (id) => {
      await lifecycle.stop(container, signal, graceMs, id);
      if (thenStart) container.recorder.change(container, { desired: 'running' });
    });
  }

  async function start(container: Container, restartCount = 0): Promise<void> {
    container.recorder.change(container, { desired: 'running', restartCount });
    await during(container, { verb: 'start' }, (id) => lifecycle.start(container, id));
  }

  return {
    /** As `start`, whatever phase it is in. */
    startAgain: start,
    async start(name: string): Promise<ContainerView> {
      const container = get(name);
      expectPhase(container, 'start', 'created', 'stopped');
      await start(container);
      return viewOf(container);
    },
    async stop(name: string, request: { signal?: string; graceMs?: number }): Promise<ContainerView> {
      const container = get(name);
      if (willRestart(container)) container.recorder.change(container, { desired: 'stopped' });
      else {
        expectPhase(container, 'stop', 'running', 'paused');
        await stop(container, request);
      }
      return viewOf(container);
    },
    /** Ends it where it runs, and starts it. */
    async restart(name: string, request: { signal?: string; graceMs?: number }): Promise<ContainerView> {
      const container = get(name);
      expectPhase(container, 'restart', 'created', 'running', 'paused', 'stopped');
      if (container.phase === 'running' || container.phase === 'paused') {
        await stop(container, request, true);
      }
      await start(container);
      return viewOf(container);
    },
    async kill(name: string, signal: string): Promise<ContainerView> {
      const container = get(name);
      expectPhase(container, 'kill', 'created', 'running', 'paused');
      if (isDeadly(signal, container.policies)) container.recorder.change(container, { desired: 'stopped' });
      await during(container, { verb: 'kill', signal }, (id) => lifecycle.kill(container, signal, id));
      return viewOf(container);
    },
    async pause(name: string): Promise<ContainerView> {
      const container = get(name);
      expectPhase(container, 'pause', 'running');
      await during(container, { verb: 'pause' }, (id) => lifecycle.pause(container, id));
      return viewOf(container);
    },
    async resume(name: string): Promise<ContainerView> {
      const container = get(name);
      expectPhase(container, 'resume', 'paused');
      await during(container, { verb: 'resume' }, (id) => lifecycle.resume(container, id));
      return viewOf(container);
    },
    /** The agent is not told: it knows the id only. */
    rename(reference: string, name: string): ContainerView {
      const container = get(reference);
      set.expectFree(name, `rename container ${container.name} to ${name}`);
      database.transaction(() => {
        set.rename(container, name);
        answers.noteResult({ path: `/v1/containers/${container.id}`, status: 200 });
      });
      return viewOf(container);
    },
    /** Until it ends, or the time is over: then the answer has no exit code. */
    async wait(name: string, timeoutMs: number): Promise<{ phase: PlanePhase; exitCode?: number }> {
      const container = get(name);
      await untilStopped(container, timeoutMs);
      const { phase, exitCode } = container;
      return { phase, ...(phase === 'stopped' && exitCode !== undefined ? { exitCode } : {}) };
    },
    /** One that runs is refused without force. */
    async remove(name: string, { force }: { force: boolean }): Promise<void> {
      const container = get(name);
      const alive: PlanePhase[] = force ? ['running', 'paused'] : [];
      expectPhase(container, 'delete', 'created', 'stopped', 'lost', ...alive);
      await remove(container);
    },
    processes(name: string) {
      const container = get(name);
      expectPhase(container, 'list processes of', 'running', 'paused', 'checkpointing');
      const guest = guests.get(container.guest);
      return guest.agent.call('listProcesses', undefined, {
        params: { id: container.id },
        timeoutMs: timeoutFor(guest),
      });
    },
    stats(name: string) {
      const container = get(name);
      const guest = guests.get(container.guest);
      return guest.agent.call('containerStats', undefined, {
        params: { id: container.id },
        timeoutMs: timeoutFor(guest),
      });
    },
  };
}

/** It has ended, and its restart policy has not had its turn yet. */
const willRestart = (container: Container): boolean =>
  container.phase === 'stopped' && restartOf(container) !== undefined;

const isDeadly = (signal: string, { stopSignal = DEFAULT_STOP_SIGNAL }: Policies): boolean =>
  signal === 'SIGKILL' || signal === stopSignal;
