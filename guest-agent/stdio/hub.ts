/**
 * The one place where the output of a container or exec arrives and its input is given: any number of
 * clients attach and detach, and each gets the backlog and then what follows, no byte doubled or lost.
 * A client that does not read holds the program back; nothing is kept for it beyond its stream's buffer.
 */
import type { Duplex } from 'node:stream';
import {
  END,
  encodeEnd,
  encodeFrame,
  FrameDecoder,
  STDIN,
  type StdioEnd,
} from '../../interconnect/stdio-frames.ts';
import { OffloadError } from '../../platform/errors.ts';
import type { AttachSocket, OutputStream } from '../runtime/attach-socket.ts';
import { createBacklog, type OutputChunk } from './backlog.ts';
import { writtenBefore } from './log-tail.ts';

export const BACKLOG_BYTES = 64 * 1024;
const MAX_CLIENTS = 16;

export interface HubOptions {
  /** What is attached to, for messages: `container web`. */
  subject: string;
  socket: AttachSocket;
  /** Asked for once the output has ended. */
  end: () => Promise<StdioEnd>;
  /** Nothing is read until the first client is there, or so much time has passed. */
  holdForFirstMs?: number;
  /** What was written before there was this hub; read when the first output or the first client is there. */
  past?: () => Promise<OutputChunk[]>;
}

export function createHub(options: HubOptions) {
  const { subject, socket } = options;
  const backlog = createBacklog(BACKLOG_BYTES);
  const clients = new Set<Duplex>();
  /** They wait for the past. */
  const joining = new Set<Duplex>();
  const slow = new Set<Duplex>();
  let isHeld = options.holdForFirstMs !== undefined;
  let over: StdioEnd | undefined;
  /** Output that came while the past was being read. */
  let early: OutputChunk[] | undefined = options.past && [];
  let remembering: Promise<void> | undefined;

  const flow = () => (isHeld || slow.size > 0 || (early && remembering) ? socket.pause() : socket.resume());
  const release = () => {
    isHeld = false;
    clearTimeout(hold);
    flow();
  };
  const hold = isHeld ? setTimeout(release, options.holdForFirstMs).unref() : undefined;

  socket.onOutput(deliver);
  flow();
  const ended = socket.closed.then(async () => {
    clearTimeout(hold);
    await remember();
    over = await options.end();
    for (const client of clients) finish(client, over);
  });

  /** The past first, so that the backlog begins with it. */
  function remember(): Promise<void> {
    remembering ??= (async () => {
      const written = (await options.past?.().catch(() => undefined)) ?? [];
      const seen = early ?? [];
      early = undefined;
      for (const { stream, bytes } of [...writtenBefore(written, seen), ...seen]) backlog.add(stream, bytes);
      flow();
    })();
    return remembering;
  }

  function deliver(stream: OutputStream, bytes: Buffer): void {
    if (early) {
      early.push({ stream, bytes: Buffer.from(bytes) });
      void remember();
      flow();
      return;
    }
    backlog.add(stream, bytes);
    const frame = encodeFrame(stream, bytes);
    for (const client of clients) send(client, frame);
  }

  /** What arrives in one turn of the event loop leaves in one write. */
  function send(client: Duplex, frame: Buffer): void {
    if (client.writableCorked === 0) {
      client.cork();
      setImmediate(() => client.uncork());
    }
    if (client.write(frame)) return;
    slow.add(client);
    flow();
  }

  function finish(client: Duplex, end: StdioEnd): void {
    client.end(encodeEnd(end));
    forget(client);
  }

  /** From here on it gets what comes. */
  function join(client: Duplex, backlogBytes: number): void {
    if (!joining.delete(client)) return;
    clients.add(client);
    for (const { stream, bytes } of backlog.last(backlogBytes)) send(client, encodeFrame(stream, bytes));
    if (over) finish(client, over);
  }

  function forget(client: Duplex): void {
    joining.delete(client);
    clients.delete(client);
    if (slow.delete(client)) flow();
  }

  return {
    /** Once the output has ended and every client was told so. */
    ended,
    get clientCount() {
      return clients.size + joining.size;
    },
    /** The last of it, as whoever attaches is given. */
    output: () => backlog.last(BACKLOG_BYTES),
    /** Output of our own, e.g. why a program did not start. */
    say: deliver,
    /**
     * The stream that `open` gives is the hub's from here on.
     * @throws {OffloadError} no_space when too many are attached; then nothing was opened
     */
    attach(open: () => Duplex, backlogBytes: number): void {
      if (clients.size + joining.size >= MAX_CLIENTS) {
        throw new OffloadError('no_space', `attach to ${subject}: ${MAX_CLIENTS} clients are attached`);
      }
      const client = open();
      joining.add(client);
      client.on('drain', () => {
        if (slow.delete(client)) flow();
      });
      client.on('error', () => client.destroy());
      client.once('close', () => forget(client));
      if (early) void remember().then(() => join(client, backlogBytes));
      else join(client, backlogBytes);
      void readInput(client, socket).catch((error: Error) => finish(client, { error: error.message }));
      release();
    },
    close(): void {
      socket.destroy();
    },
  };
}
export type Hub = ReturnType<typeof createHub>;

/** Takes no more from the client than the program has room for. The end of the client's stream closes nothing. */
async function readInput(client: Duplex, socket: AttachSocket): Promise<void> {
  const decoder = new FrameDecoder();
  try {
    for await (const chunk of client.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      for (const { type, payload } of decoder.push(chunk)) {
        if (type === END) return;
        if (type !== STDIN) {
          throw new OffloadError(
            'invalid_request',
            `read input: a frame of type ${type}, not standard input`,
          );
        }
        await (payload.length === 0 ? socket.endInput() : socket.write(payload));
      }
    }
  } catch (error) {
    if (error instanceof OffloadError) throw error;
    // The client has gone; what it had sent has been given.
  }
}
