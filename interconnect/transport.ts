/**
 * How the plane reaches a guest and is reached by it. vhost-device-vsock maps a guest's vsock to Unix
 * sockets: to dial in, connect to PATH, send `CONNECT <port>\n` and read `OK <port>\n`; what the guest
 * dials (CID 2, port P) arrives on a listener at PATH_P. So which socket a connection came from says which
 * guest it is (the convention is Firecracker's, docs/vsock.md there).
 */

import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { OffloadError } from '../platform/errors.ts';

const MAX_ANSWER_BYTES = 64;

/**
 * Dials a vsock port of the guest behind `vsockPath`.
 * @throws {OffloadError} guest_lost when there is no such socket or nobody listens on the port,
 * deadline_exceeded after timeoutMs
 */
export async function dialGuest(vsockPath: string, port: number, timeoutMs: number): Promise<Socket> {
  const socket = connect({ path: vsockPath, allowHalfOpen: true });
  const timer = setTimeout(() => {
    socket.destroy(
      new OffloadError('deadline_exceeded', `dial guest port ${port}: no answer within ${timeoutMs} ms`),
    );
  }, timeoutMs);
  try {
    await once(socket, 'connect');
    socket.write(`CONNECT ${port}\n`);
    await readAnswer(socket, port);
    return socket;
  } catch (error) {
    socket.destroy();
    if (error instanceof OffloadError) throw error;
    throw new OffloadError('guest_lost', `dial guest port ${port}: ${(error as Error).message}`, {
      cause: error,
    });
  } finally {
    clearTimeout(timer);
  }
}

/** Reads up to the first newline; bytes behind it stay in the socket. */
async function readAnswer(socket: Socket, port: number): Promise<void> {
  let answer = '';
  while (!answer.endsWith('\n')) {
    const byte = socket.read(1) as Buffer | null;
    if (byte === null) {
      if (socket.readableEnded || socket.destroyed) {
        throw new OffloadError('guest_lost', `dial guest port ${port}: nobody listens there`);
      }
      await moreToRead(socket);
      continue;
    }
    answer += byte.toString('latin1');
    if (answer.length > MAX_ANSWER_BYTES) break;
  }
  if (!answer.startsWith('OK ')) {
    throw new OffloadError(
      'guest_lost',
      `dial guest port ${port}: answered ${JSON.stringify(answer.trim())}`,
    );
  }
}

/** Bytes, the end or the close, whichever comes first; leaves no listener behind. */
async function moreToRead(socket: Socket): Promise<void> {
  const settled = new AbortController();
  const { signal } = settled;
  const events = ['readable', 'end', 'close'].map((event) => once(socket, event, { signal }));
  try {
    await Promise.race(events);
  } finally {
    settled.abort();
  }
}

/** Listens for what the guest behind `vsockPath` dials on `port`. */
export async function listenForGuest(
  vsockPath: string,
  port: number,
  options: { maxConnections: number; onConnection: (socket: Socket) => void },
): Promise<Server> {
  const path = `${vsockPath}_${port}`;
  await rm(path, { force: true });
  const server = createServer({ allowHalfOpen: true }, options.onConnection);
  server.maxConnections = options.maxConnections;
  server.listen(path);
  await once(server, 'listening');
  return server;
}
