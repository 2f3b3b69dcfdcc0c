/** Ways into a running container for probes: its ports and programs, through its guest's agent. */
import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { agentPath, agentStreams } from '../../interconnect/agent-api.ts';
import { pollUntil } from '../../platform/deadline.ts';
import { OffloadError } from '../../platform/errors.ts';
import type { Container } from '../containers/container.ts';
import type { Guest } from '../guests/guest.ts';

export interface ContainerAccess {
  /** For messages. */
  readonly name: string;
  dial(port: number): Promise<Duplex>;
  /** Answers the exit code. */
  run(command: readonly string[]): Promise<number>;
}

const LOOK_INTERVAL_MS = 100;

export function containerAccess(container: Container, guest: Guest, timeoutMs: number): ContainerAccess {
  const { id, name } = container;
  return {
    name,
    dial(port) {
      const { method, path } = agentStreams.connectPort;
      const contentType = 'application/octet-stream';
      return guest.agent.stream({ method, path: agentPath(path, { id, port }), contentType, timeoutMs });
    },
    async run(command) {
      const spec = { command: [...command], terminal: false, openStdin: false, env: [], detached: true };
      const exec = await guest.agent.call('createExec', spec, { params: { id }, timeoutMs });
      const ended = async () => {
        const params = { id, exec: exec.id };
        const state = await guest.agent.call('inspectExec', undefined, { params, timeoutMs });
        return state.running ? undefined : (state.exitCode ?? 1);
      };
      const what = `${command[0]} in container ${name}`;
      return await pollUntil(ended, { timeoutMs, intervalMs: LOOK_INTERVAL_MS, what });
    },
  };
}

/** The same, but through its published ports: the first answer on one of them counts as that of a client. */
export function throughPublishedPorts(access: ContainerAccess, container: Container): ContainerAccess {
  return {
    ...access,
    async dial(port) {
      const forward = container.forwards.find(({ containerPort }) => containerPort === port);
      if (forward === undefined) {
        throw new OffloadError(
          'invalid_state',
          `connect to ${container.name}: port ${port} is not published`,
        );
      }
      return connect({ host: forward.hostAddress, port: forward.hostPort, noDelay: true });
    },
  };
}
