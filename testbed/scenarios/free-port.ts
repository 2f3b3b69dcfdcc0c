/** A TCP port on loopback that was free a moment ago, and that the kernel gives to nobody by itself. */
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { OffloadError } from '../../platform/errors.ts';

/** Below Linux's ip_local_port_range (32768 on): what is restored binds its port again long after it was chosen. */
const FIRST_PORT = 20_000;
const LAST_PORT = 32_000;
const ATTEMPTS = 100;

export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const port = randomInt(FIRST_PORT, LAST_PORT + 1);
    if (await isFree(port)) return port;
  }
  throw new OffloadError(
    'internal',
    `choose a port: ${ATTEMPTS} from ${FIRST_PORT} to ${LAST_PORT} were taken`,
  );
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  server.listen({ host: '127.0.0.1', port });
  try {
    await once(server, 'listening');
  } catch {
    return false;
  }
  server.close();
  await once(server, 'close');
  return true;
}
