/**
 * Descriptors that Node cannot make, as Node streams. Node refuses the address families in question, but
 * libuv's pipe handle never looks at the family: the addon makes the descriptor, a pipe handle serves it.
 */
import { createRequire } from 'node:module';
import { createServer, Socket } from 'node:net';

interface Addon {
  bind(port: number): number;
  connect(cid: number, port: number, timeoutMs: number): number;
  connectSeqpacket(path: string, sendOnly: boolean): number;
  mount(source: string, target: string, type: string, options: string): void;
}

/** The part of libuv's pipe handle that is used here (Node's internal `Pipe`). */
export interface PipeHandle {
  open(fd: number): number;
  listen(backlog: number): number;
  close(): void;
  onconnection: ((status: number, client: PipeHandle | undefined) => void) | null;
}
type PipeConstructor = new (kind: number) => PipeHandle;
const PIPE_SOCKET = 0;
const PIPE_SERVER = 1;

export const addon = createRequire(import.meta.url)(
  process.env.OFFLOAD_VSOCK_ADDON ?? './vsock.node',
) as Addon;

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

/** @param makeDescriptor called once the handle is there, so that no descriptor is lost on the way */
export async function socketHandle(makeDescriptor: () => number): Promise<PipeHandle> {
  return openHandle(PIPE_SOCKET, makeDescriptor);
}
export async function serverHandle(makeDescriptor: () => number): Promise<PipeHandle> {
  return openHandle(PIPE_SERVER, makeDescriptor);
}

async function openHandle(kind: number, makeDescriptor: () => number): Promise<PipeHandle> {
  const Pipe = await loadPipeConstructor();
  const handle = new Pipe(kind);
  checkStatus(handle.open(makeDescriptor()), 'open a descriptor');
  return handle;
}

export function checkStatus(status: number, operation: string): void {
  if (status !== 0) throw new Error(`${operation}: libuv error ${status}`);
}

/** @param readable whether anything is read from it */
export function socketOf(handle: PipeHandle, readable = true): Socket {
  return new Socket({ handle, readable, writable: true, allowHalfOpen: true } as never);
}
