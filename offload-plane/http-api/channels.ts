/**
 * A WebSocket in Kubernetes' channel protocol v5, joined to a stream of frames (stdio-frames.ts). The first
 * byte of each message says what it is. Neither side is read faster than the other takes it, so what waits
 * here is one message each way.
 */
import type { Duplex } from 'node:stream';
import { Value } from 'typebox/value';
import type { WebSocket } from 'ws';
import { TerminalSize } from '../../interconnect/exec-api.ts';
import {
  decodeEnd,
  END,
  encodeFrame,
  FrameDecoder,
  MAX_PAYLOAD_BYTES,
  STDIN,
  type StdioEnd,
} from '../../interconnect/stdio-frames.ts';
import { toOffloadError } from '../../platform/errors.ts';

export const CHANNEL_PROTOCOL = 'v5.channel.k8s.io';
/** The channel's byte and a frame's payload. */
export const MAX_MESSAGE_BYTES = MAX_PAYLOAD_BYTES + 1;

const CHANNEL_RESIZE = 4;
const CHANNEL_CLOSE = 255;
/** RFC 6455, 7.4.1 */
const CLOSE_NORMAL = 1000;
const CLOSE_UNSUPPORTED = 1003;

export interface ChannelOptions {
  /** For messages: `attach to container web`. */
  operation: string;
  resize: (size: TerminalSize) => Promise<void>;
}

export function joinChannels(socket: WebSocket, stream: Duplex, options: ChannelOptions): void {
  socket.on('error', () => socket.terminate());
  socket.once('close', () => stream.destroy());
  socket.on('message', (data: Buffer, isBinary: boolean) => {
    if (!isBinary) socket.close(CLOSE_UNSUPPORTED, 'binary messages only');
    else take(data);
  });

  function take(message: Buffer): void {
    const [channel, payload] = [message[0], message.subarray(1)];
    if (channel === STDIN && payload.length > 0) give(payload);
    else if (channel === CHANNEL_CLOSE && payload[0] === STDIN) give(Buffer.alloc(0));
    else if (channel === CHANNEL_RESIZE) resize(payload);
  }

  /** Nothing more is read from the client until the agent has taken this. */
  function give(payload: Buffer): void {
    if (stream.destroyed || stream.write(encodeFrame(STDIN, payload))) return;
    socket.pause();
    stream.once('drain', () => socket.resume());
  }

  function resize(payload: Buffer): void {
    const size = sizeOf(payload);
    // A size that cannot be had is no reason to end the session.
    if (size) options.resize(size).catch(() => undefined);
  }

  void carryOutput(socket, stream).then(
    (end) => finish(socket, end ?? { error: `${options.operation}: the guest ended the stream` }),
    (error) => finish(socket, { error: toOffloadError(error, options.operation).message }),
  );
}

/** @returns what the end frame says; undefined when the stream ends without one */
async function carryOutput(socket: WebSocket, stream: Duplex): Promise<StdioEnd | undefined> {
  const decoder = new FrameDecoder();
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    for (const { type, payload } of decoder.push(chunk)) {
      if (type === END) return decodeEnd(payload);
      await send(socket, type, payload);
    }
  }
  return undefined;
}

/** Resolves once the message is in the socket's hands, so that a slow client holds back whoever calls this. */
function send(socket: WebSocket, channel: number, payload: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.send(Buffer.concat([Buffer.from([channel]), payload]), { binary: true }, (error) =>
      error ? reject(error) : resolve(),
    );
  });
}

function finish(socket: WebSocket, end: StdioEnd): void {
  send(socket, END, Buffer.from(JSON.stringify(end)))
    .catch(() => undefined)
    .finally(() => socket.close(CLOSE_NORMAL));
}

function sizeOf(payload: Buffer): TerminalSize | undefined {
  try {
    const { Width: columns, Height: rows } = JSON.parse(payload.toString()) as Record<string, unknown>;
    const size = { columns, rows };
    return Value.Check(TerminalSize, size) ? size : undefined;
  } catch {
    return undefined;
  }
}
