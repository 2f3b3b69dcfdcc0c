/** The API on its Unix socket, and on TCP where asked for. */
import { chmod, rm } from 'node:fs/promises';
import type { Logger } from '../logger.ts';
import type { Plane } from '../plane.ts';
import { createHttpApi } from './server.ts';
import type { TcpListener } from './tcp.ts';

export interface Listeners {
  close(): Promise<void>;
}

export async function openListeners(
  plane: Plane,
  logger: Logger,
  { socketPath, tcp }: { socketPath: string; tcp?: TcpListener | undefined },
): Promise<Listeners> {
  const local = await createHttpApi(plane, logger);
  const remote = tcp && (await createHttpApi(plane, logger, tcp.options));
  const close = async () => {
    await Promise.all([local.close(), remote?.close()]);
  };
  try {
    if (remote) logger.info({ url: await remote.listen({ host: tcp.address, port: tcp.port }) }, 'listening');
    await rm(socketPath, { force: true });
    await local.listen({ path: socketPath });
    await chmod(socketPath, 0o600);
    return { close };
  } catch (error) {
    await close();
    throw error;
  }
}
