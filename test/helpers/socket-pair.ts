/** Two joined sockets; unlike a duplexPair's, an end that is destroyed closes the other. */
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { tempDirectory } from './temp-directory.ts';

export async function socketPair(): Promise<[Socket, Socket]> {
  const server = createServer({ allowHalfOpen: true });
  server.listen(join(tempDirectory('socket-pair'), 's'));
  await once(server, 'listening');
  const near = connect({ path: server.address() as string, allowHalfOpen: true });
  const [far] = (await once(server, 'connection')) as [Socket];
  server.close();
  near.on('error', () => {});
  return [near, far];
}
