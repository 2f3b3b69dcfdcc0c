/**
 * A QEMU's QMP socket: greets, accepts the negotiation, keeps what it is asked and does nothing of it, but
 * tells of a device that it is gone.
 */
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { createInterface } from 'node:readline';

export interface QmpCommand {
  execute: string;
  arguments?: Record<string, unknown>;
}

/** What each connection begins with. */
const NEGOTIATION: ReadonlySet<string> = new Set(['qmp_capabilities', 'query-block']);

export interface FakeQemu {
  readonly commands: QmpCommand[];
  /** Refuses a command from now on with this reason; undefined: no longer. */
  refuse(command: string, reason: string | undefined): void;
  /** Hangs up, as a QEMU that ends does. */
  quit(): void;
  close(): void;
}

export async function startFakeQemu(socketPath: string): Promise<FakeQemu> {
  const commands: QmpCommand[] = [];
  const refused = new Map<string, string | undefined>();
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket.on('error', () => {}));
    socket.write('{"QMP": {"version": {}, "capabilities": []}}\r\n');
    const lines = createInterface(socket);
    lines.on('error', () => {});
    lines.on('line', (line) => {
      const { id, ...command } = JSON.parse(line) as QmpCommand & { id: number };
      if (!NEGOTIATION.has(command.execute)) commands.push(command);
      const reason = refused.get(command.execute);
      const nothing = command.execute === 'query-block' ? [] : {};
      const answer = reason ? { error: { class: 'GenericError', desc: reason } } : { return: nothing };
      socket.write(`${JSON.stringify({ ...answer, id })}\r\n`);
      if (command.execute !== 'device_del' || reason) return;
      const data = { device: command.arguments?.id };
      socket.write(`${JSON.stringify({ event: 'DEVICE_DELETED', data })}\r\n`);
    });
  });
  server.listen(socketPath);
  await once(server, 'listening');
  const quit = () => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    commands,
    refuse: (command, reason) => void refused.set(command, reason),
    quit,
    close() {
      quit();
      server.close();
    },
  };
}
