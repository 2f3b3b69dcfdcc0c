/**
 * conmon's attach socket (SOCK_SEQPACKET). A packet from conmon is one byte that names the stream and what
 * conmon has read in one go; what is sent to it goes to the standard input. Whoever does not read holds
 * conmon back, and with it the container.
 *
 * Input goes over a connection of its own: when a program ends with input unread, the kernel drops what
 * has not been read yet from the connection the input was sent on.
 */
import type { Socket } from 'node:net';
import { STDERR, STDOUT } from '../../interconnect/stdio-frames.ts';
import { addon, socketHandle, socketOf } from '../descriptors.ts';

/** conmon reads packets into a buffer of 32 KiB and drops what does not fit. */
const MAX_PACKET_BYTES = 16 * 1024;
export type OutputStream = typeof STDOUT | typeof STDERR;
/** conmon's names for its pipes (its stdpipe_t). */
const STREAM_OF_PIPE: Record<number, OutputStream> = { 2: STDOUT, 3: STDERR };

export interface AttachSocket {
  /** Packets come as conmon has cut them, from the first resume() on. */
  onOutput(listener: (stream: OutputStream, bytes: Buffer) => void): void;
  pause(): void;
  resume(): void;
  /** One after another; resolves once conmon's socket has taken it, or nobody takes it any more. */
  write(bytes: Buffer): Promise<void>;
  /** conmon closes the standard input of what has no terminal. */
  endInput(): Promise<void>;
  /** conmon has gone, or let go, and everything was read. Never rejects. */
  readonly closed: Promise<void>;
  destroy(): void;
}

export type ConnectAttach = (path: string) => Promise<AttachSocket>;

export const connectAttachSocket: ConnectAttach = async (path) => {
  const output = await connect(path, false);
  const closed = new Promise<void>((resolve) => output.once('close', () => resolve()));
  output.on('end', () => output.destroy());
  let input: Promise<Socket> | undefined;
  const closeInput = () => {
    void input?.then(
      (socket) => socket.destroy(),
      () => undefined,
    );
  };
  // Nobody takes input any more, and nothing would tell.
  output.once('close', closeInput);
  let written: Promise<unknown> = Promise.resolve();

  /** Queued writes would be joined into one packet, so there is only ever one. */
  function inOrder(work: (socket: Socket) => Promise<unknown>): Promise<void> {
    const next = written.then(async () => {
      input ??= connect(path, true);
      await work(await input);
    });
    // A program that has ended takes no input: that is not an error of whoever types.
    written = next.catch(() => undefined);
    return written as Promise<void>;
  }

  return {
    onOutput(listener) {
      output.on('data', (packet: Buffer) => {
        const stream = STREAM_OF_PIPE[packet[0] ?? 0];
        if (stream !== undefined) listener(stream, packet.subarray(1));
      });
      // A listener would make it flow.
      output.pause();
    },
    pause: () => void output.pause(),
    resume: () => void output.resume(),
    write: (bytes) =>
      inOrder(async (socket) => {
        for (let at = 0; at < bytes.length; at += MAX_PACKET_BYTES) {
          await writePacket(socket, bytes.subarray(at, at + MAX_PACKET_BYTES));
        }
      }),
    endInput: () => inOrder(async (socket) => void socket.end()),
    closed,
    destroy() {
      output.destroy();
      closeInput();
    },
  };
};

async function connect(path: string, sendOnly: boolean): Promise<Socket> {
  const handle = await socketHandle(() => addon.connectSeqpacket(path, sendOnly));
  const socket = socketOf(handle, !sendOnly);
  socket.on('error', () => socket.destroy());
  socket.pause();
  return socket;
}

function writePacket(socket: Socket, bytes: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.write(bytes, (error) => (error ? reject(error) : resolve()));
  });
}
