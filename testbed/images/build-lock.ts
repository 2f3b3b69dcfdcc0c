/** Keeps two builders out of one cache, without a file that a killed one could leave behind. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { resolve } from 'node:path';
import { pollUntil } from '../../platform/deadline.ts';

const POLL_INTERVAL_MS = 200;

/**
 * Holds an abstract Unix socket (a name in the kernel, gone with its process) named after the directory.
 * @returns a function that lets go
 * @throws {OffloadError} deadline_exceeded when another builder holds it for longer than timeoutMs
 */
export async function lockDirectory(directory: string, timeoutMs: number): Promise<() => Promise<void>> {
  const key = createHash('sha256').update(resolve(directory)).digest('hex').slice(0, 32);
  const name = `\0offload-plane-${process.getuid?.() ?? 0}-${key}`;
  return await pollUntil(() => tryLock(name), {
    timeoutMs,
    intervalMs: POLL_INTERVAL_MS,
    what: `build demo images in ${directory}: wait for another builder`,
  });
}

async function tryLock(name: string): Promise<(() => Promise<void>) | undefined> {
  const server = createServer((socket) => socket.destroy());
  server.listen(name);
  try {
    await once(server, 'listening');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') return undefined;
    throw error;
  }
  server.unref();
  return async () => {
    server.close();
    await once(server, 'close');
  };
}
