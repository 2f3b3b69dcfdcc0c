/**
 * A QEMU's QMP socket: greets, accepts the negotiation, keeps what it is asked, knows which disks it has, and
 * tells of a device that it is gone. A file that it has for writing no other QEMU of this process takes.
 */
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { createInterface } from 'node:readline';

export interface QmpCommand {
  execute: string;
  arguments?: Record<string, unknown>;
}

export interface FakeDisk {
  path: string;
  readOnly: boolean;
}

/** Files that a QEMU has for writing. */
const locked = new Set<string>();

/** What each connection begins with. */
const NEGOTIATION: ReadonlySet<string> = new Set(['qmp_capabilities', 'query-block']);

export interface FakeQemu {
  readonly commands: QmpCommand[];
  /** Refuses a command from now on with this reason; undefined: no longer. */
  refuse(command: string, reason: string | undefined): void;
  /** By name. */
  readonly disks: ReadonlyMap<string, FakeDisk>;
  /** Hangs up, as a QEMU that ends does. */
  quit(): void;
  close(): void;
}

export async function startFakeQemu(socketPath: string): Promise<FakeQemu> {
  const commands: QmpCommand[] = [];
  const refused = new Map<string, string | undefined>();
  const sockets = new Set<Socket>();
  const files = new Map<string, FakeDisk>();
  const disks = new Map<string, FakeDisk>();

  /** @returns why not */
  function perform({ execute, arguments: options = {} }: QmpCommand): string | undefined {
    const name = String(options.id ?? options['node-name']);
    if (execute === 'blockdev-add') {
      const { filename } = options.file as { filename: string };
      files.set(name, { path: filename, readOnly: options['read-only'] === true });
    }
    if (execute === 'device_add') {
      const file = files.get(name)!;
      if (locked.has(file.path)) return 'Failed to get "write" lock';
      if (!file.readOnly) locked.add(file.path);
      disks.set(name, file);
    }
    if (execute === 'device_del') disks.delete(name);
    if (execute === 'blockdev-del') {
      const file = files.get(name);
      if (file && !file.readOnly) locked.delete(file.path);
      files.delete(name);
    }
    return undefined;
  }

  const blocks = () =>
    [...disks].map(([name, { path, readOnly }]) => ({
      qdev: name,
      inserted: { 'node-name': name, file: path, ro: readOnly },
    }));

  const server = createServer((socket) => {
    sockets.add(socket.on('error', () => {}));
    socket.write('{"QMP": {"version": {}, "capabilities": []}}\r\n');
    const lines = createInterface(socket);
    lines.on('error', () => {});
    lines.on('line', (line) => {
      const { id, ...command } = JSON.parse(line) as QmpCommand & { id: number };
      if (!NEGOTIATION.has(command.execute)) commands.push(command);
      const reason = refused.get(command.execute) ?? perform(command);
      const result = command.execute === 'query-block' ? blocks() : {};
      const answer = reason ? { error: { class: 'GenericError', desc: reason } } : { return: result };
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
    disks,
    refuse: (command, reason) => void refused.set(command, reason),
    quit,
    close() {
      quit();
      for (const { path } of files.values()) locked.delete(path);
      server.close();
    },
  };
}
