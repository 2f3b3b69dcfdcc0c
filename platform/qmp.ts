/**
 * QMP, QEMU's control protocol: one JSON object a line over a Unix socket.
 */
import { EventEmitter } from 'node:events';
import { connect, type Socket } from 'node:net';
import { OffloadError } from './errors.ts';

export interface QmpEvent {
  event: string;
  data: Record<string, unknown>;
}

export interface QmpOptions {
  socketPath: string;
  /** For the connection with its greeting, and for each command that names no other. */
  timeoutMs: number;
}

interface Reply {
  QMP?: unknown;
  id?: number;
  return?: unknown;
  error?: { class: string; desc: string };
  event?: string;
  data?: Record<string, unknown>;
}

interface Waiting {
  command: string;
  timer: NodeJS.Timeout;
  resolve(value: unknown): void;
  reject(error: Error): void;
}

/** A longer line is not QMP; nothing we ask for answers with more. */
const maxLineBytes = 4 * 1024 * 1024;

/** A QMP connection. Emits 'event' with a QmpEvent, and 'close' once. */
export class QmpClient extends EventEmitter<{ event: [QmpEvent]; close: [] }> {
  #socket: Socket;
  #options: QmpOptions;
  #waiting = new Map<number, Waiting>();
  #chunks: Buffer[] = [];
  #lineBytes = 0;
  #nextId = 1;
  #closeReason: string | undefined;

  private constructor(socket: Socket, options: QmpOptions) {
    super();
    this.#socket = socket;
    this.#options = options;
    socket.on('data', (chunk: Buffer) => this.#onData(chunk));
    socket.on('error', (error) => this.#end(error.message));
    socket.on('close', () => this.#end('connection closed'));
  }

  /** Connects and leaves negotiation mode. QEMU serves one client a socket: a second one waits here. */
  static async connect(options: QmpOptions): Promise<QmpClient> {
    const client = new QmpClient(connect(options.socketPath), options);
    try {
      await client.execute('qmp_capabilities');
      return client;
    } catch (error) {
      client.close();
      throw error;
    }
  }

  /** Runs one command and returns its `return` value. The error names the command and QEMU's reason. */
  execute(command: string, args?: Record<string, unknown>, timeoutMs?: number): Promise<unknown> {
    const limitMs = timeoutMs ?? this.#options.timeoutMs;
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      if (this.#closeReason) return reject(this.#lost(command, this.#closeReason));
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        reject(new OffloadError('deadline_exceeded', `QMP ${command}: no answer within ${limitMs} ms`));
      }, limitMs);
      this.#waiting.set(id, { command, timer, resolve, reject });
      this.#socket.write(
        `${JSON.stringify({ execute: command, ...(args ? { arguments: args } : {}), id })}\n`,
      );
    });
  }

  /** Resolves with the first event that `matches`; start waiting before the command that causes it. */
  waitForEvent(matches: (event: QmpEvent) => boolean, timeoutMs: number, what: string): Promise<QmpEvent> {
    return new Promise((resolve, reject) => {
      const finish = (settle: () => void) => {
        clearTimeout(timer);
        this.off('event', onEvent);
        this.off('close', onClose);
        settle();
      };
      const onEvent = (event: QmpEvent) => {
        if (matches(event)) finish(() => resolve(event));
      };
      const onClose = () => finish(() => reject(this.#lost(`wait for ${what}`, 'connection closed')));
      const timer = setTimeout(() => {
        const message = `QMP wait for ${what}: not within ${timeoutMs} ms`;
        finish(() => reject(new OffloadError('deadline_exceeded', message)));
      }, timeoutMs);
      this.on('event', onEvent);
      this.on('close', onClose);
    });
  }

  close(): void {
    this.#end('closed by this side');
  }

  #onData(chunk: Buffer): void {
    let rest = chunk;
    for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
      const line = Buffer.concat([...this.#chunks, rest.subarray(0, end)]).toString('utf8');
      this.#chunks = [];
      this.#lineBytes = 0;
      rest = rest.subarray(end + 1);
      this.#onLine(line);
    }
    this.#lineBytes += rest.length;
    if (rest.length > 0) this.#chunks.push(rest);
    if (this.#lineBytes > maxLineBytes) this.#end(`a line of more than ${maxLineBytes} bytes`);
  }

  #onLine(line: string): void {
    let reply: Reply;
    try {
      reply = JSON.parse(line) as Reply;
    } catch {
      this.#end('a line that is not JSON');
      return;
    }
    if (reply.event) this.emit('event', { event: reply.event, data: reply.data ?? {} });
    const waiting = reply.id === undefined ? undefined : this.#waiting.get(reply.id);
    if (!waiting || reply.id === undefined) return;
    this.#waiting.delete(reply.id);
    clearTimeout(waiting.timer);
    if (reply.error)
      waiting.reject(new OffloadError('internal', `QMP ${waiting.command}: ${reply.error.desc}`));
    else waiting.resolve(reply.return);
  }

  #lost(command: string, reason: string): OffloadError {
    return new OffloadError('guest_lost', `QMP ${command}: ${reason} (${this.#options.socketPath})`);
  }

  #end(reason: string): void {
    if (this.#closeReason) return;
    this.#closeReason = reason;
    this.#socket.destroy();
    for (const waiting of this.#waiting.values()) {
      clearTimeout(waiting.timer);
      waiting.reject(this.#lost(waiting.command, reason));
    }
    this.#waiting.clear();
    this.emit('close');
  }
}
