/** Where CRIU finds its page server in the guest: what it says goes to the plane (see dump-stream.ts). */
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { relayDump } from '../interconnect/dump-stream.ts';
import { DUMP_PORT } from '../interconnect/page-protocol.ts';
import { OffloadError } from '../platform/errors.ts';

/**
 * Unacknowledged bytes of a dump. What fits into the Unix socket behind the vsock daemon (some 200 KiB)
 * never makes the daemon fall back on its own buffer, and that is where it stalls.
 */
const DUMP_WINDOW_BYTES = 128 * 1024;

export interface DumpRelay {
  address: string;
  port: number;
  /** Resolves when CRIU has hung up and the plane has taken every byte. */
  finished(): Promise<void>;
  close(): void;
}

/** Listens for CRIU on loopback, and for one connection only. */
export async function openDumpRelay(options: {
  token: string;
  deadlineMs: number;
  dialPlane: (port: number) => Promise<Duplex>;
}): Promise<DumpRelay> {
  const address = '127.0.0.1';
  const plane = await options.dialPlane(DUMP_PORT);
  const server = createServer({ allowHalfOpen: true });
  server.maxConnections = 1;
  server.listen({ host: address, port: 0 });
  await once(server, 'listening');
  let criu: Socket | undefined;
  let relayed: Promise<unknown> | undefined;
  server.on('connection', (socket) => {
    criu = socket;
    const relaying = relayDump(socket, plane, {
      token: Buffer.from(options.token, 'hex'),
      windowBytes: DUMP_WINDOW_BYTES,
      idleDeadlineMs: options.deadlineMs,
    });
    relaying.catch(() => socket.destroy());
    relayed = relaying;
  });
  return {
    address,
    port: (server.address() as { port: number }).port,
    async finished() {
      if (!relayed)
        throw new OffloadError('runtime_failed', 'checkpoint: CRIU never reached the page server');
      await relayed;
    },
    close() {
      server.close();
      criu?.destroy();
      plane.destroy();
    },
  };
}
