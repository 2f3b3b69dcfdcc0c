/** One connection to a Redis server, with a deadline over its whole life. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { OffloadError } from '../../platform/errors.ts';
import { encodeCommand, type Reply, ReplyParser } from './resp.ts';
import type { Endpoint } from './workload.ts';

/** How long a peer may take to close after it was told goodbye; then we close alone. */
const CLOSE_TIMEOUT_MS = 2_000;

export class RedisConnection {
  /** Bytes of all replies. */
  receivedBytes = 0;
  readonly connected: Promise<void>;
  readonly #subject: string;
  readonly #socket: Socket;
  readonly #parser = new ReplyParser();
  readonly #waiting: {
    count: number;
    replies: Reply[];
    done: (replies: Reply[]) => void;
    fail: (error: Error) => void;
  }[] = [];
  readonly #timer: NodeJS.Timeout;
  #failure: OffloadError | undefined;

  /** @param operation what the connection is for, e.g. `first request` */
  constructor(endpoint: Endpoint, operation: string, deadlineMs: number) {
    this.#subject = `${operation} to redis at ${endpoint.host}:${endpoint.port}`;
    this.#socket = connect({ ...endpoint, noDelay: true });
    this.#timer = setTimeout(() => {
      this.#fail(
        new OffloadError('deadline_exceeded', `${this.#subject}: no answer within ${deadlineMs} ms`),
      );
    }, deadlineMs);
    this.connected = once(this.#socket, 'connect').then(
      () => {},
      () => {},
    );
    this.#socket.on('data', (chunk) => this.#receive(chunk));
    this.#socket.on('error', (error) =>
      this.#fail(new OffloadError('runtime_failed', `${this.#subject}: ${error.message}`)),
    );
    this.#socket.on('close', () =>
      this.#fail(new OffloadError('runtime_failed', `${this.#subject}: connection closed`)),
    );
  }

  /** Sends encoded commands and waits for as many replies; calls may overlap, replies keep their order. */
  async send(commands: Buffer, count: number): Promise<Reply[]> {
    if (this.#failure) throw this.#failure;
    return await new Promise((done, fail) => {
      this.#waiting.push({ count, replies: [], done, fail });
      this.#socket.write(commands);
    });
  }

  /** Says goodbye and waits until the server has closed, so that nothing of the connection is left in it. */
  async close(): Promise<void> {
    if (!this.#failure) {
      const closed = new Promise<void>((resolve) => this.#socket.once('close', () => resolve()));
      await this.send(encodeCommand('QUIT'), 1).catch(() => {});
      const timer = setTimeout(() => this.#socket.destroy(), CLOSE_TIMEOUT_MS);
      this.#socket.end();
      await closed;
      clearTimeout(timer);
    }
    this.destroy();
  }

  destroy(): void {
    clearTimeout(this.#timer);
    this.#socket.destroy();
  }

  #receive(chunk: Buffer): void {
    this.receivedBytes += chunk.length;
    try {
      for (const reply of this.#parser.push(chunk)) this.#deliver(reply);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      this.#fail(new OffloadError('runtime_failed', `${this.#subject}: ${message}`, { cause: error }));
    }
  }

  #deliver(reply: Reply): void {
    const first = this.#waiting[0];
    if (!first) throw new Error('a reply that nobody asked for');
    first.replies.push(reply);
    if (first.replies.length < first.count) return;
    this.#waiting.shift();
    first.done(first.replies);
  }

  #fail(error: OffloadError): void {
    this.#failure ??= error;
    this.destroy();
    for (const waiting of this.#waiting.splice(0)) waiting.fail(this.#failure);
  }
}
