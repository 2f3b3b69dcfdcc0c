/** AF_VSOCK sockets as Node streams. */
import type { Duplex } from 'node:stream';
import { boundWrites } from './bounded-writes.ts';
import { addon, checkStatus, type PipeHandle, serverHandle, socketHandle, socketOf } from './descriptors.ts';

const BACKLOG = 128;
const CONNECT_TIMEOUT_MS = 5_000;
/** The plane's side of every guest's vsock (VMADDR_CID_HOST). */
export const HOST_CID = 2;

/** Accepts connections on a vsock port, each given to `onConnection` as a stream. */
export async function listenVsock(
  port: number,
  onConnection: (stream: Duplex) => void,
): Promise<{ close(): void }> {
  const server = await serverHandle(() => addon.bind(port));
  server.onconnection = (status, client) => {
    if (status === 0 && client) onConnection(streamOf(client));
  };
  checkStatus(server.listen(BACKLOG), `vsock listen on port ${port}`);
  return { close: () => server.close() };
}

/** @throws when nobody listens there or the answer takes longer than 5 s. */
export async function connectVsock(cid: number, port: number): Promise<Duplex> {
  return streamOf(await socketHandle(() => addon.connect(cid, port, CONNECT_TIMEOUT_MS)));
}

const streamOf = (handle: PipeHandle): Duplex => boundWrites(socketOf(handle));
