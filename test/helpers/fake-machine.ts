/**
 * A guest as the plane reaches it: a real agent (over fake programs, see agent-world.ts) behind a Unix
 * socket in the place of vsock, and a QMP socket.
 */
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { type Duplex, duplexPair, pipeline, Transform } from 'node:stream';
import { createApiServer } from '../../guest-agent/api/server.ts';
import { PAGE_PORT } from '../../interconnect/page-protocol.ts';
import type { GuestRegistration } from '../../offload-plane/guests/guest.ts';
import { type AgentWorld, createAgentWorld } from './agent-world.ts';
import { type FakeQemu, startFakeQemu } from './fake-qemu.ts';
import { playPagers } from './played-pagers.ts';
import { tempDirectory } from './temp-directory.ts';

export interface FakeMachine {
  readonly registration: GuestRegistration;
  readonly world: AgentWorld;
  readonly qemu: FakeQemu;
  /** Dials a port of the plane, as a program in the guest would. */
  dial(port: number): Promise<Socket>;
  /** The agent's connections break. */
  hangUp(): void;
  /** Nobody answers for the agent any more, while QEMU lives. */
  stopAgent(): void;
  /** Its connections break, and the agent that answers the next one says that it is another. */
  reboot(): void;
  /** Called for each piece that passes between plane and agent, before it goes on. */
  onPiece: (() => void) | undefined;
  /** Those at work. */
  pagerCount(): number;
  close(): void;
}

/** @param isWhole with what checkpoints and restores need; pieces of their own connections are seen as well */
export async function startFakeMachine(name: string, isWhole = false): Promise<FakeMachine> {
  const directory = tempDirectory('machine');
  const vsockPath = join(directory, 'vsock');
  const qmpPath = join(directory, 'qmp');
  const dial = async (port: number) => {
    const socket = connect({ path: `${vsockPath}_${port}`, allowHalfOpen: true });
    await once(socket, 'connect');
    return socket.on('error', () => {});
  };
  const dialSeen = async (port: number) => watched(await dial(port), () => machine.onPiece?.());
  const world = await createAgentWorld(name, { dial: isWhole ? dialSeen : dial, isWhole });
  const pagers = isWhole ? playPagers(world, () => dialSeen(PAGE_PORT)) : undefined;
  const api = createApiServer(world.agent);
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket.on('error', () => {}));
    // The plane says nothing more before it is answered.
    socket.once('data', (line: Buffer) => {
      socket.pause();
      socket.write(String(line).replace('CONNECT', 'OK'));
      api.accept(watched(socket, () => machine.onPiece?.()));
    });
  });
  server.listen(vsockPath);
  await once(server, 'listening');
  const qemu = await startFakeQemu(qmpPath);
  const hangUp = () => {
    for (const socket of sockets) socket.destroy();
  };
  const stopAgent = () => {
    server.close();
    hangUp();
  };
  const machine: FakeMachine = {
    onPiece: undefined,
    registration: { name, vsockPath, qmpPath, accelerator: 'tcg', memoryMiB: 512, vcpus: 1 },
    world,
    qemu,
    dial,
    hangUp,
    stopAgent,
    reboot() {
      const { health } = world.agent;
      world.agent.health = async () => ({ ...(await health()), instanceId: 'instance-2' });
      hangUp();
    },
    pagerCount: () => pagers?.count() ?? 0,
    close() {
      pagers?.close();
      stopAgent();
      qemu.close();
    },
  };
  return machine;
}

/** The same conversation, with somebody who sees each piece before it goes on. */
function watched(socket: Socket, onPiece: () => void): Duplex {
  const [near, far] = duplexPair();
  const see = () =>
    new Transform({
      transform(piece, _encoding, done) {
        onPiece();
        done(null, piece);
      },
    });
  pipeline(socket, see(), near, () => socket.destroy());
  pipeline(near, see(), socket, () => far.destroy());
  return far;
}
