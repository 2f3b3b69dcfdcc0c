/**
 * A container's port on the plane's side. Clients may come before the container runs (a restore publishes
 * its ports first): they are held, bounded in number and time, and joined to the container when it is up.
 */
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { withDeadline } from '../../platform/deadline.ts';
import { OffloadError } from '../../platform/errors.ts';
import { joinStreams } from '../../platform/join-streams.ts';

const MAX_CONNECTIONS = 1_024;

export interface PortForwardOptions {
  container: string;
  hostAddress: string;
  /** 0 takes a free one. */
  hostPort: number;
  containerPort: number;
  /** Resolves when the container can take connections; a held client waits so long at most. */
  ready: () => Promise<void>;
  holdTimeoutMs: number;
  dial: () => Promise<Duplex>;
  /** First byte that the container sent on any connection of this port. */
  onFirstResponse: () => void;
  onError: (error: Error) => void;
}

export interface PortForward {
  readonly hostAddress: string;
  readonly hostPort: number;
  readonly containerPort: number;
  close(): void;
}

export async function openPortForward(options: PortForwardOptions): Promise<PortForward> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true }, (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    void carry(socket, options).catch((error: Error) => {
      socket.resetAndDestroy();
      options.onError(error);
    });
  });
  server.maxConnections = MAX_CONNECTIONS;
  await listen(server, options);
  return {
    hostAddress: options.hostAddress,
    hostPort: (server.address() as { port: number }).port,
    containerPort: options.containerPort,
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

async function carry(client: Socket, options: PortForwardOptions): Promise<void> {
  const what = `port ${options.containerPort} of container ${options.container}`;
  await withDeadline(options.ready(), options.holdTimeoutMs, `connect to ${what}`);
  if (client.destroyed) return;
  const container = await options.dial();
  container.once('data', options.onFirstResponse);
  // A reset, not an end: what broke must not be taken for a whole answer.
  container.on('error', () => client.resetAndDestroy());
  container.once('close', () => {
    if (!container.readableEnded) client.resetAndDestroy();
  });
  joinStreams(client, container);
}

async function listen(server: Server, options: PortForwardOptions): Promise<void> {
  const { hostAddress: host, hostPort: port } = options;
  server.listen({ host, port });
  try {
    await once(server, 'listening');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const reason = code === 'EADDRINUSE' ? 'the address is in use' : (error as Error).message;
    throw new OffloadError('already_exists', `publish port ${host}:${port}: ${reason}`, { cause: error });
  }
}
