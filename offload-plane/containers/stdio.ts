/** Standard input and output of containers and of execs in them, through the agent of their guest. */
import type { Duplex, Readable } from 'node:stream';
import { agentPath, agentStreams } from '../../interconnect/agent-api.ts';
import type { ExecSpec, ExecState, PathStat, TerminalSize } from '../../interconnect/exec-api.ts';
import { OffloadError } from '../../platform/errors.ts';
import type { Guests } from '../guests/guests.ts';
import { type Container, expectPhase, named } from './container.ts';
import type { Containers } from './containers.ts';

export interface StdioDeps {
  containers: Containers;
  guests: Guests;
}

export interface ExecView extends Omit<ExecState, 'pid'> {
  container: string;
}

export interface LogRequest {
  follow?: boolean;
  tailLines?: number;
  sinceMs?: number;
}

/** An exec is named by its container and its own id, so that no plane has to remember it. */
const EXEC_ID = /^([0-9a-f]{12})-([0-9a-f]{12})$/;
/** Bytes of a copy move until they are there; this is for an agent that does not answer at all. */
const COPY_TIMEOUT_FACTOR = 60;

type StreamName = 'attachContainer' | 'attachExec' | 'logs' | 'getArchive' | 'putArchive';

export function createStdio({ containers, guests }: StdioDeps) {
  /** By container, how many take its output. */
  const readers = new Map<string, number>();

  /** The agent of a container's guest, and how long a call of it may take. */
  function agentOf(container: Container) {
    const guest = guests.get(container.guest);
    return { agent: guest.agent, timeoutMs: containers.timeoutFor(guest) };
  }

  function open(
    container: Container,
    name: StreamName,
    query: Record<string, string | number | boolean | undefined>,
    params: Record<string, string> = {},
  ): Promise<Duplex> {
    const { agent, timeoutMs } = agentOf(container);
    return inItsName(container, agent.stream({ ...target(container, name, query, params), timeoutMs }));
  }

  /** One whose output somebody still takes is not removed at its end. */
  async function openRead(...[container, ...what]: Parameters<typeof open>): Promise<Duplex> {
    const stream = await open(container, ...what);
    readers.set(container.id, (readers.get(container.id) ?? 0) + 1);
    stream.once('close', () => {
      const left = (readers.get(container.id) ?? 1) - 1;
      if (left === 0) readers.delete(container.id);
      else readers.set(container.id, left);
    });
    return stream;
  }

  function locate(id: string): { container: Container; params: { id: string; exec: string } } {
    const [, containerId = '', exec = ''] = EXEC_ID.exec(id) ?? [];
    if (exec === '') throw new OffloadError('not_found', `exec ${id}: there is none of this id`);
    const container = containers.get(containerId);
    return { container, params: { id: container.id, exec } };
  }

  return {
    isRead: (id: string): boolean => readers.has(id),
    /** @returns frames of stdio-frames.ts both ways; its end detaches */
    async attach(name: string, backlogBytes: number): Promise<Duplex> {
      return openRead(containers.get(name), 'attachContainer', { backlogBytes });
    },
    async resize(name: string, size: TerminalSize): Promise<void> {
      const container = containers.get(name);
      const { agent, timeoutMs } = agentOf(container);
      await agent.call('resizeContainer', size, { params: { id: container.id }, timeoutMs });
    },
    async createExec(name: string, spec: ExecSpec): Promise<ExecView> {
      const container = containers.get(name);
      expectPhase(container, 'exec in', 'running');
      const { agent, timeoutMs } = agentOf(container);
      return viewOf(
        container,
        await agent.call('createExec', spec, { params: { id: container.id }, timeoutMs: timeoutMs * 3 }),
      );
    },
    async inspectExec(id: string): Promise<ExecView> {
      const { container, params } = locate(id);
      const { agent, timeoutMs } = agentOf(container);
      return viewOf(container, await agent.call('inspectExec', undefined, { params, timeoutMs }));
    },
    async attachExec(id: string, backlogBytes: number): Promise<Duplex> {
      const { container, params } = locate(id);
      return open(container, 'attachExec', { backlogBytes }, params);
    },
    async resizeExec(id: string, size: TerminalSize): Promise<void> {
      const { container, params } = locate(id);
      const { agent, timeoutMs } = agentOf(container);
      await agent.call('resizeExec', size, { params, timeoutMs });
    },
    /** @returns conmon's log lines */
    async logs(name: string, wanted: LogRequest): Promise<Duplex> {
      return openRead(containers.get(name), 'logs', { ...wanted });
    },
    async statPath(name: string, path: string): Promise<PathStat> {
      const container = containers.get(name);
      const { agent, timeoutMs } = agentOf(container);
      const call = { params: { id: container.id }, query: { path }, timeoutMs };
      return inItsName(container, agent.call('statPath', undefined, call));
    },
    async getArchive(name: string, path: string): Promise<Readable> {
      return open(containers.get(name), 'getArchive', { path });
    },
    async putArchive(name: string, path: string, tar: Readable): Promise<void> {
      const container = containers.get(name);
      const { agent, timeoutMs } = agentOf(container);
      const call = { ...target(container, 'putArchive', { path }), contentType: 'application/x-tar' };
      await agent.upload({ ...call, timeoutMs: timeoutMs * COPY_TIMEOUT_FACTOR }, tar);
    },
  };
}
/** What the agent says of it. */
const inItsName = <T>(container: Container, answer: Promise<T>): Promise<T> =>
  answer.catch((error: unknown) => {
    throw named(error, container);
  });

export type ContainerStdio = ReturnType<typeof createStdio>;

function target(
  container: Container,
  name: StreamName,
  query: Record<string, string | number | boolean | undefined>,
  params: Record<string, string> = {},
) {
  const { method, path } = agentStreams[name];
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) if (value !== undefined) search.set(key, String(value));
  const contentType = method === 'GET' ? {} : { contentType: 'application/octet-stream' };
  return { method, path: `${agentPath(path, { id: container.id, ...params })}?${search}`, ...contentType };
}

function viewOf(container: Container, { pid: _pid, id, ...state }: ExecState): ExecView {
  return { ...state, id: `${container.id}-${id}`, container: container.id };
}
