/**
 * AF_VSOCK sockets as Node streams. Node refuses descriptors of that family, but libuv's pipe handle
 * never looks at the family: the addon makes the descriptor, a pipe handle serves it.
 */
import { createRequire } from 'node:module';
import { createServer, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { boundWrites } from './bounded-writes.ts';

interface VsockAddon {
  bind(port: number): number;
  connect(cid: number, port: number, timeoutMs: number): number;
}

/** The part of libuv's pipe handle that is used here (Node's internal `Pipe`). */
interface PipeHandle {
  open(fd: number): number;
  listen(backlog: number): number;
  close(): void;
  onconnection: ((status: number, client: PipeHandle | undefined) => void) | null;
}
type PipeConstructor = new (kind: number) => PipeHandle;
const PIPE_SOCKET = 0;
const PIPE_SERVER = 1;
const BACKLOG = 128;
const CONNECT_TIMEOUT_MS = 5_000;
/** The plane's side of every guest's vsock (VMADDR_CID_HOST). */
export const HOST_CID = 2;

const addon = createRequire(import.meta.url)(process.env.OFFLOAD_VSOCK_ADDON ?? './vsock.node') as VsockAddon;

let pipeConstructor: Promise<PipeConstructor> | undefined;

/** Node does not export its pipe handle's class, so it is taken from a live server on an abstract socket. */
function loadPipeConstructor(): Promise<PipeConstructor> {
  pipeConstructor ??= new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen({ path: `\0offload-agent-${process.pid}` }, () => {
      const handle = (server as unknown as { _handle: PipeHandle })._handle;
      resolve(handle.constructor as unknown as PipeConstructor);
      server.close();
    });
  });
  return pipeConstructor;
}

function check(status: number, operation: string): void {
  if (status !== 0) throw new Error(`vsock ${operation}: libuv error ${status}`);
}

/** Accepts connections on a vsock port, each given to `onConnection` as a stream. */
export async function listenVsock(
  port: number,
  onConnection: (stream: Duplex) => void,
): Promise<{ close(): void }> {
  const Pipe = await loadPipeConstructor();
  const server = new Pipe(PIPE_SERVER);
  check(server.open(addon.bind(port)), `listen on port ${port}`);
  server.onconnection = (status, client) => {
    if (status === 0 && client) onConnection(streamOf(client));
  };
  check(server.listen(BACKLOG), `listen on port ${port}`);
  return { close: () => server.close() };
}

/** @throws when nobody listens there or the answer takes longer than 5 s. */
export async function connectVsock(cid: number, port: number): Promise<Duplex> {
  const Pipe = await loadPipeConstructor();
  const handle = new Pipe(PIPE_SOCKET);
  check(handle.open(addon.connect(cid, port, CONNECT_TIMEOUT_MS)), `connect to ${cid}:${port}`);
  return streamOf(handle);
}

function streamOf(handle: PipeHandle): Duplex {
  return boundWrites(new Socket({ handle, readable: true, writable: true, allowHalfOpen: true } as never));
}
