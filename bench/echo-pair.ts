/** A round trip to a real agent's API, and a bare one, over Unix sockets of the same process. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createAgent } from '../guest-agent/agent.ts';
import { createApiServer } from '../guest-agent/api/server.ts';
import { createGuestParts } from '../guest-agent/guest-parts.ts';
import { runProgram } from '../guest-agent/run-program.ts';
import { createAgentClient } from '../offload-plane/guests/agent-client.ts';
import { OffloadError } from '../platform/errors.ts';

const TIMEOUT_MS = 10_000;
const MESSAGE = Buffer.alloc(64, 1);

export interface EchoPair {
  raw(): Promise<void>;
  /** The list of containers, of which there are none. */
  call(): Promise<void>;
  close(): Promise<void>;
}

export async function openEchoPair(): Promise<EchoPair> {
  const directory = mkdtempSync(join(tmpdir(), 'bench-echo-'));
  const paths = {
    runDirectory: directory,
    dataDirectory: directory,
    programDirectory: directory,
    cgroupRoot: directory,
    seccompProfile: join(directory, 'seccomp.json'),
  };
  const agent = await createAgent({
    paths,
    run: runProgram,
    parts: createGuestParts({ run: runProgram, paths, mountOverlay: () => {} }),
    dialPlane: async () => {
      throw new OffloadError('invalid_state', 'bench: this agent has no plane to dial');
    },
    connectAttach: async () => {
      throw new OffloadError('invalid_state', 'bench: this agent has no containers');
    },
    nowMs: () => performance.now(),
    later: () => () => undefined,
    freshId: () => 'bench',
    createTimeoutMs: TIMEOUT_MS,
  });
  const api = createApiServer(agent);
  const echo = await listen(join(directory, 'echo.sock'), (socket) => socket.pipe(socket));
  const calls = await listen(join(directory, 'agent.sock'), (socket) => api.accept(socket));
  const echoSocket = await dial(join(directory, 'echo.sock'));
  const client = createAgentClient('bench', await dial(join(directory, 'agent.sock')), TIMEOUT_MS);
  return {
    async raw() {
      const answered = once(echoSocket, 'data');
      echoSocket.write(MESSAGE);
      await answered;
    },
    async call() {
      await client.call('listContainers', undefined, { timeoutMs: TIMEOUT_MS });
    },
    async close() {
      client.close();
      echoSocket.destroy();
      await client.closed;
      for (const server of [echo, calls]) server.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

async function listen(path: string, accept: (socket: Socket) => void): Promise<Server> {
  const server = createServer(accept);
  server.listen(path);
  await once(server, 'listening');
  return server;
}

async function dial(path: string): Promise<Socket> {
  const socket = connect(path);
  await once(socket, 'connect');
  return socket;
}
