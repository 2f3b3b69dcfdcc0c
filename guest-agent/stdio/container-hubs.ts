/**
 * Whoever attaches to containers. One with a terminal or an open standard input has a hub as long as it is
 * there, so that a backlog is kept; any other has one while somebody is attached.
 */
import type { Duplex } from 'node:stream';
import type { TerminalSize } from '../../interconnect/exec-api.ts';
import type { StdioEnd } from '../../interconnect/stdio-frames.ts';
import { pollUntil } from '../../platform/deadline.ts';
import { OffloadError } from '../../platform/errors.ts';
import type { Containers } from '../containers.ts';
import type { EventLog } from '../events.ts';
import type { Container } from '../life.ts';
import type { ConnectAttach } from '../runtime/attach-socket.ts';
import { createHub, type Hub } from './hub.ts';
import { readLogTail } from './log-tail.ts';
import { resize } from './terminal-control.ts';

export interface ContainerHubsDeps {
  containers: Containers;
  events: EventLog;
  connectAttach: ConnectAttach;
}

/** From the end of the output to the exit code. */
const EXIT_TIMEOUT_MS = 30_000;
/** As of a program that was ended by SIGKILL, which is how a container is removed that runs. */
const KILLED_EXIT_CODE = 137;

export function createContainerHubs(deps: ContainerHubsDeps) {
  const { containers, connectAttach } = deps;
  const hubs = new Map<string, Promise<Hub>>();

  deps.events.subscribe(({ container: id, event }) => {
    if (event === 'created' || event === 'restored') keep(id);
    if (event === 'deleted') drop(id);
  });

  const isInteractive = ({ spec }: Container) => spec.terminal === true || spec.openStdin === true;

  /** @param hasPast it has written before, for nobody of this agent to see */
  function keep(id: string, hasPast = false): void {
    drop(id);
    if (isInteractive(containers.get(id))) connect(id, hasPast).catch(() => undefined);
  }

  function drop(id: string): void {
    hubs.get(id)?.then(
      (hub) => hub.close(),
      () => undefined,
    );
    hubs.delete(id);
  }

  function connect(id: string, hasPast = false): Promise<Hub> {
    const { attachSocket, log } = containers.paths(id);
    const past = hasPast ? { past: () => readLogTail(log) } : {};
    const making = connectAttach(attachSocket).then((socket) =>
      createHub({ subject: `container ${id}`, socket, end: () => endOf(id), ...past }),
    );
    hubs.set(id, making);
    making.catch(() => {
      if (hubs.get(id) === making) hubs.delete(id);
    });
    return making;
  }

  async function endOf(id: string): Promise<StdioEnd> {
    const end = (): StdioEnd | undefined => {
      const container = containers.list().find((other) => other.id === id);
      if (!container) return { exitCode: KILLED_EXIT_CODE };
      return container.exitCode === undefined ? undefined : { exitCode: container.exitCode };
    };
    const what = `exit code of container ${id}`;
    try {
      return await pollUntil(end, { timeoutMs: EXIT_TIMEOUT_MS, intervalMs: 10, what });
    } catch {
      return { error: 'its monitor ended without an exit code' };
    }
  }

  async function hubOf(container: Container): Promise<Hub> {
    const { id } = container.spec;
    const known = hubs.get(id);
    if (known) return known;
    containers.expectPhase(container, 'attach to', 'created', 'running', 'paused', 'checkpointing');
    return connect(id).catch((error: Error) => {
      throw new OffloadError('invalid_state', `attach to container ${id}: ${error.message}`, {
        cause: error,
      });
    });
  }

  return {
    async attach(id: string, open: () => Duplex, backlogBytes: number): Promise<void> {
      const container = containers.get(id);
      const hub = await hubOf(container);
      hub.attach(() => {
        const client = open();
        if (!isInteractive(container)) {
          client.once('close', () => {
            if (hub.clientCount === 0) drop(id);
          });
        }
        return client;
      }, backlogBytes);
    },
    async resize(id: string, size: TerminalSize): Promise<void> {
      const container = containers.get(id);
      containers.expectPhase(container, 'resize', 'created', 'running', 'paused', 'checkpointing');
      if (container.spec.terminal !== true) {
        throw new OffloadError('invalid_state', `resize container ${id}: it has no terminal`);
      }
      await resize(containers.paths(id).control, size);
    },
    /** Takes over a container of an earlier agent. */
    adopt: (id: string) => keep(id, true),
  };
}
