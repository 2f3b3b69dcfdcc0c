/** A server run natively for a test, gone with it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { freePort } from '../../../testbed/scenarios/free-port.ts';

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
