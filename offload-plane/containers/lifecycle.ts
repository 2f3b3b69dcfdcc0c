/**
 * What is done to a container in its guest, call by call. Each call has an id that follows from the request's,
 * so that all of it can be done again after a plane was cut off in the middle: what was done is not repeated.
 */
import type { AgentCall, AgentRequest } from '../../interconnect/agent-api.ts';
import { OffloadError, toOffloadError } from '../../platform/errors.ts';
import type { Guest } from '../guests/guest.ts';
import type { Guests } from '../guests/guests.ts';
import { type Container, named, type PlanePhase, setPhase } from './container.ts';
import type { AttachedDisks } from './container-disks.ts';
import { untilStopped } from './wait.ts';

export interface LifecycleDeps {
  guests: Guests;
  timeoutFor: (guest: Guest) => number;
  attachDisks: (guest: Guest, container: Container) => Promise<AttachedDisks>;
}

type ContainerCall = Exclude<AgentCall, 'health' | 'listContainers'>;

export function createLifecycle({ guests, timeoutFor, attachDisks }: LifecycleDeps) {
  /** @param goal phases that the call leads to: a container that is there already needs no call */
  async function call<C extends ContainerCall>(
    container: Container,
    name: C,
    body: AgentRequest<C>,
    { request, goal }: { request: string; goal: readonly PlanePhase[] },
  ): Promise<void> {
    const guest = guests.get(container.guest);
    const options = { params: { id: container.id }, timeoutMs: timeoutFor(guest), requestId: request };
    try {
      await guest.agent.call(name, body, options);
    } catch (error) {
      // An agent that was started anew has forgotten which calls it had answered.
      const { code } = toOffloadError(error, name);
      if (code !== 'invalid_state' && code !== 'already_exists') throw named(error, container);
      const { phase } = await guest.agent.call('inspectContainer', undefined, options);
      if (!goal.includes(phase)) throw named(error, container);
    }
  }

  async function specOf(container: Container): Promise<AgentRequest<'createContainer'>> {
    const disks = await attachDisks(guests.get(container.guest), container);
    return { ...container.recipe.spec, id: container.id, ...disks };
  }

  const timeoutOf = (container: Container) => timeoutFor(guests.get(container.guest));

  return {
    timeoutOf,
    async create(container: Container, request: string): Promise<void> {
      await call(container, 'createContainer', await specOf(container), { request, goal: ['created'] });
    },
    async start(container: Container, request: string): Promise<void> {
      if (container.phase === 'stopped') {
        const spec = await specOf(container);
        const goal = ['created', 'running', 'paused'] as const;
        await call(container, 'recreateContainer', spec, { request: `${request}-recreate`, goal });
        if (container.phase === 'stopped') setPhase(container, 'created');
      }
      await call(container, 'startContainer', {}, { request, goal: ['running', 'paused', 'stopped'] });
      // The news of its end may have come before the answer.
      if (container.phase === 'created') setPhase(container, 'running');
    },
    async pause(container: Container, request: string): Promise<void> {
      await call(container, 'pauseContainer', {}, { request, goal: ['paused'] });
      if (container.phase === 'running') setPhase(container, 'paused');
    },
    async resume(container: Container, request: string): Promise<void> {
      await call(container, 'resumeContainer', {}, { request, goal: ['running'] });
      if (container.phase === 'paused') setPhase(container, 'running');
    },
    async kill(container: Container, signal: string, request: string): Promise<void> {
      await call(container, 'killContainer', { signal }, { request, goal: ['stopped'] });
    },
    /** Asks it to end, and after the grace time ends it. */
    async stop(container: Container, signal: string, graceMs: number, request: string): Promise<void> {
      if (container.phase === 'stopped') return;
      await call(container, 'killContainer', { signal }, { request, goal: ['stopped'] });
      if (container.phase === 'paused') {
        // A frozen container hears of no signal.
        await call(
          container,
          'resumeContainer',
          {},
          {
            request: `${request}-resume`,
            goal: ['running', 'stopped'],
          },
        );
        if (container.phase === 'paused') setPhase(container, 'running');
      }
      if (await untilStopped(container, graceMs)) return;
      await call(
        container,
        'killContainer',
        { signal: 'SIGKILL' },
        {
          request: `${request}-kill`,
          goal: ['stopped'],
        },
      );
      const timeoutMs = timeoutOf(container);
      if (await untilStopped(container, timeoutMs)) return;
      throw new OffloadError(
        'deadline_exceeded',
        `stop container ${container.name}: it did not end within ${timeoutMs} ms of SIGKILL`,
      );
    },
    /** Of a checkpoint that the plane does not go on with; the agent may have ended it by itself. */
    async finishCheckpoint(
      container: Container,
      action: 'stop' | 'resume',
      committed: boolean,
      request: string,
    ): Promise<void> {
      const goal = ['running', 'stopped'] as const;
      await call(container, 'finishCheckpoint', { action, committed }, { request, goal });
    },
    /** One that the agent does not know is gone already; so is one whose guest is lost. */
    async remove(container: Pick<Container, 'id' | 'guest'>, request: string): Promise<void> {
      const guest = guests.find(container.guest);
      if (!guest || guest.lost) return;
      const options = { params: { id: container.id }, timeoutMs: timeoutFor(guest), requestId: request };
      try {
        await guest.agent.call('deleteContainer', undefined, options);
      } catch (error) {
        if (!(error instanceof OffloadError && error.code === 'not_found')) throw error;
      }
    },
  };
}
export type Lifecycle = ReturnType<typeof createLifecycle>;
