/** A server run natively for a test, gone with it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';

export interface Server {
  port: number;
  stop(): Promise<void>;
}

export async function startServer(options: {
  argv: (port: number) => string[];
  env: (port: number) => Record<string, string>;
}): Promise<Server> {
  const port = await freePort();
  const [file, ...args] = options.argv(port);
  const child: ChildProcess = spawn('setpriv', ['--pdeathsig', 'KILL', '--', file!, ...args], {
    stdio: 'ignore',
    cwd: '/',
    env: { PATH: process.env.PATH, ...options.env(port) },
  });
  const exited = once(child, 'exit');
  return {
    port,
    async stop() {
      child.kill('SIGKILL');
      await exited;
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
