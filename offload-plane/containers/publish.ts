/** Opens a container's ports on the plane's side; clients are held until it runs. */
import { agentPath, agentStreams } from '../../interconnect/agent-api.ts';
import { OffloadError } from '../../platform/errors.ts';
import type { Guest } from '../guests/guest.ts';
import type { Logger } from '../logger.ts';
import type { Container, PlanePhase, PortRequest } from './container.ts';
import { openPortForward, type PortForward } from './port-forward.ts';

/** Held clients wait this many call timeouts. */
const HOLD_FACTOR = 3;

export interface PublishDeps {
  logger: Logger;
  hostAddress: string;
  timeoutFor: (guest: Guest) => number;
}

export function publishPort(
  container: Container,
  guest: Guest,
  port: PortRequest,
  { logger, hostAddress, timeoutFor }: PublishDeps,
): Promise<PortForward> {
  const { method, path } = agentStreams.connectPort;
  return openPortForward({
    container: container.name,
    hostAddress,
    hostPort: port.hostPort ?? 0,
    containerPort: port.containerPort,
    holdTimeoutMs: timeoutFor(guest) * HOLD_FACTOR,
    ready: () => untilRunning(container),
    dial: () =>
      guest.agent.stream({
        method,
        path: agentPath(path, { id: container.id, port: port.containerPort }),
        contentType: 'application/octet-stream',
        timeoutMs: timeoutFor(guest),
      }),
    onFirstResponse() {
      container.onFirstResponse?.();
      container.onFirstResponse = undefined;
    },
    onError: (error) => logger.debug({ container: container.name, error: error.message }, 'port closed'),
  });
}

/** @throws {OffloadError} invalid_state when it ends or is lost instead */
function untilRunning(container: Container): Promise<void> {
  return new Promise((resolve, reject) => {
    const check = (phase: PlanePhase) => {
      if (phase === 'created' || phase === 'restoring') return;
      container.onPhase.delete(check);
      if (phase === 'stopped' || phase === 'lost') {
        reject(new OffloadError('invalid_state', `container ${container.name} is ${phase}`));
      } else {
        resolve();
      }
    };
    container.onPhase.add(check);
    check(container.phase);
  });
}
