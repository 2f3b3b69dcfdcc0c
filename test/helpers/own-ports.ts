/**
 * TCP ports on loopback that are a test's own while its process lives: the kernel gives none of them to whoever asks
 * for any, so they are free again after each restart of the plane that had them.
 */
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';

/** Below Linux's ip_local_port_range (32768 on), and below those that scenarios choose from. */
const FIRST_PORT = 10_000;
const PORTS_PER_BLOCK = 250;
const BLOCK_COUNT = 40;

/** @returns what gives the next one */
export async function claimPorts(): Promise<() => number> {
  const offset = randomInt(BLOCK_COUNT);
  for (let block = 0; block < BLOCK_COUNT; block += 1) {
    const first = FIRST_PORT + ((offset + block) % BLOCK_COUNT) * PORTS_PER_BLOCK;
    const ports = Array.from({ length: PORTS_PER_BLOCK - 1 }, (_, index) => first + 1 + index);
    // Whoever listens on a block's first port has all of it.
    if (!(await isFree(first, true))) continue;
    const free = await Promise.all(ports.map((port) => isFree(port)));
    let next = 0;
    const mine = ports.filter((_, index) => free[index]);
    return () => {
      const port = mine[next++];
      if (port === undefined) throw new Error(`all ${mine.length} ports from ${first} on are used up`);
      return port;
    };
  }
  throw new Error(`no ports from ${FIRST_PORT} on are free`);
}

async function isFree(port: number, keep = false): Promise<boolean> {
  const server = createServer().unref();
  server.listen({ host: '127.0.0.1', port });
  try {
    await once(server, 'listening');
  } catch {
    return false;
  }
  if (keep) return true;
  server.close();
  await once(server, 'close');
  return true;
}
