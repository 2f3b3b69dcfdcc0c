/** A port that accepts connections at once and holds them until the container behind it is there. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import type { Endpoint } from '../../../testbed/workloads/workload.ts';

export interface HeldPort {
  endpoint: Endpoint;
  /** From now on connections lead to this port, those that wait included. */
  release(targetPort: number): void;
  /** Connections accepted so far. */
  connectionCount(): number;
  close(): Promise<void>;
}

/** @param spoil changes what the container answers */
export async function holdPort(spoil: (chunk: Buffer) => Buffer = (chunk) => chunk): Promise<HeldPort> {
  let targetPort: number | undefined;
  let connectionCount = 0;
  const sockets = new Set<Socket>();
  const held: (() => void)[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    connectionCount += 1;
    sockets.add(socket);
    socket.on('error', () => {});
    const join = () => {
      const target = connect({ port: targetPort!, host: '127.0.0.1', allowHalfOpen: true });
      sockets.add(target);
      target.on('error', () => socket.destroy());
      socket.pipe(target);
      target.on('data', (chunk) => socket.write(spoil(chunk)));
      target.on('end', () => socket.end());
    };
    if (targetPort === undefined) held.push(join);
    else join();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    endpoint: { host: '127.0.0.1', port: (server.address() as AddressInfo).port },
    release(port) {
      targetPort = port;
      for (const join of held.splice(0)) join();
    },
    connectionCount: () => connectionCount,
    async close() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
