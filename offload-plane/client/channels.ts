/** A WebSocket of the plane as standard input and output: Kubernetes' channel protocol v5. */
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import WebSocket from 'ws';
import type { TerminalSize } from '../../interconnect/exec-api.ts';
import {
  decodeEnd,
  END,
  MAX_PAYLOAD_BYTES,
  STDERR,
  STDIN,
  STDOUT,
  type StdioEnd,
} from '../../interconnect/stdio-frames.ts';
import { OffloadError } from '../../platform/errors.ts';
import { authorizationOf, type PlaneAddress, problem } from './connection.ts';

const PROTOCOL = 'v5.channel.k8s.io';
const CHANNEL_RESIZE = 4;
const CHANNEL_CLOSE = 255;
const CLOSE_NORMAL = 1000;
const HANDSHAKE_TIMEOUT_MS = 60_000;
const MAX_PROBLEM_BYTES = 64 * 1024;

export type OutputStream = typeof STDOUT | typeof STDERR;

export interface Channels {
  /** Gives each piece of output; nothing more is read until `take` is done with it. Resolves with the end. */
  read(take: (stream: OutputStream, bytes: Buffer) => Promise<void> | void): Promise<StdioEnd>;
  /** Resolves once it is on its way. */
  send(bytes: Buffer): Promise<void>;
  closeInput(): Promise<void>;
  resize(size: TerminalSize): Promise<void>;
  /** Detaches: what runs there runs on. */
  close(): void;
}

/** @throws {OffloadError} what the plane refused it with */
export async function openChannels(address: PlaneAddress, path: string): Promise<Channels> {
  const socket = dial(address, path);
  // Nothing may arrive before somebody reads.
  socket.once('open', () => socket.pause());
  const refused = once(socket, 'unexpected-response').then(async ([, response]) => {
    throw problem(await textOf(response), `GET ${path}`, response.statusCode ?? 0);
  });
  refused.catch(() => undefined);
  await Promise.race([once(socket, 'open'), refused]).catch((error: Error) => {
    socket.terminate();
    if (error instanceof OffloadError) throw error;
    throw new OffloadError('not_found', `plane: GET ${path}: ${error.message}`, { cause: error });
  });
  return channelsOf(socket, path);
}

function dial(address: PlaneAddress, path: string): WebSocket {
  const common = {
    headers: authorizationOf(address),
    perMessageDeflate: false,
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
    maxPayload: MAX_PAYLOAD_BYTES + 1,
  };
  if ('socketPath' in address) {
    const createConnection = () => connect({ path: address.socketPath });
    return new WebSocket(`ws://plane${path}`, PROTOCOL, { ...common, createConnection } as never);
  }
  return new WebSocket(`${address.url.replace(/^http/, 'ws')}${path}`, PROTOCOL, {
    ...common,
    ...address.tls,
  });
}

async function textOf(response: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of response) {
    text += String(chunk);
    if (text.length > MAX_PROBLEM_BYTES) break;
  }
  return text;
}

function channelsOf(socket: WebSocket, path: string): Channels {
  const send = (channel: number, payload: Buffer) =>
    new Promise<void>((resolve, reject) => {
      socket.send(Buffer.concat([Buffer.from([channel]), payload]), (error) =>
        error ? reject(error) : resolve(),
      );
    });
  socket.on('error', () => socket.terminate());

  return {
    async read(take) {
      const end = Promise.withResolvers<StdioEnd>();
      socket.on('message', (data: Buffer) => {
        const [channel, payload] = [data[0], data.subarray(1)];
        if (channel === END) settle(end, payload);
        else if (channel === STDOUT || channel === STDERR) {
          const taken = take(channel, payload);
          if (!taken) return;
          socket.pause();
          taken.then(
            () => socket.resume(),
            (error: Error) => {
              end.reject(error);
              socket.terminate();
            },
          );
        }
      });
      socket.once('close', () =>
        end.reject(new OffloadError('guest_lost', `GET ${path}: the plane hung up`)),
      );
      socket.resume();
      return end.promise;
    },
    async send(bytes) {
      for (let at = 0; at < bytes.length; at += MAX_PAYLOAD_BYTES) {
        await send(STDIN, bytes.subarray(at, at + MAX_PAYLOAD_BYTES));
      }
    },
    closeInput: () => send(CHANNEL_CLOSE, Buffer.from([STDIN])),
    resize: ({ columns, rows }) =>
      send(CHANNEL_RESIZE, Buffer.from(JSON.stringify({ Width: columns, Height: rows }))),
    close() {
      // The other side's goodbye has to be read, or both wait for it.
      socket.resume();
      socket.close(CLOSE_NORMAL);
    },
  };
}

function settle(end: PromiseWithResolvers<StdioEnd>, payload: Buffer): void {
  try {
    end.resolve(decodeEnd(payload));
  } catch (error) {
    end.reject(error);
  }
}
