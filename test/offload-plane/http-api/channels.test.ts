import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { join } from 'node:path';
import { type Duplex, duplexPair } from 'node:stream';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import fastify from 'fastify';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import WebSocket from 'ws';
import {
  encodeEnd,
  encodeFrame,
  FrameDecoder,
  STDERR,
  STDOUT,
  type StdioFrame,
} from '../../../interconnect/stdio-frames.ts';
import { openChannels } from '../../../offload-plane/client/channels.ts';
import { addWebSockets, execRoutes } from '../../../offload-plane/http-api/execs.ts';
import { answerProblems } from '../../../offload-plane/http-api/problems.ts';
import type { App } from '../../../offload-plane/http-api/server.ts';
import type { Plane } from '../../../offload-plane/plane.ts';
import { OffloadError } from '../../../platform/errors.ts';
import { silentLogger } from '../../helpers/plane-parts.ts';
import { rejection } from '../../helpers/rejection.ts';
import { tempDirectory } from '../../helpers/temp-directory.ts';
import { until } from '../../helpers/until.ts';

const EXEC = '0123456789ab-0123456789ab';
const PATH = `/v1/execs/${EXEC}/attach`;

interface World {
  socketPath: string;
  /** The agent's side of the stream that was attached to last. */
  agent(): Duplex;
  /** The plane's side of each that was attached to. */
  attached: Duplex[];
  frames: StdioFrame[];
  sizes: object[];
}

/** The routes over a real socket, and an agent that is a pair of streams. */
async function withRoutes(body: (world: World) => Promise<void>): Promise<void> {
  const app = fastify().withTypeProvider<TypeBoxTypeProvider>() as unknown as App;
  const frames: StdioFrame[] = [];
  const sizes: object[] = [];
  const attached: Duplex[] = [];
  let agent: Duplex | undefined;
  const stdio = {
    async attachExec(id: string) {
      if (id !== EXEC) throw new OffloadError('not_found', `exec ${id}: there is none of this id`);
      const [near, far] = duplexPair();
      const decoder = new FrameDecoder();
      far.on('error', () => undefined);
      far.on('data', (chunk: Buffer) => frames.push(...decoder.push(chunk)));
      agent = far;
      attached.push(near);
      return near;
    },
    resizeExec: async (_id: string, size: object) => void sizes.push(size),
  };
  answerProblems(app, silentLogger);
  await addWebSockets(app);
  execRoutes(app, { stdio } as unknown as Plane);
  const socketPath = join(tempDirectory('channels'), 'plane.sock');
  await app.listen({ path: socketPath });
  try {
    await body({ socketPath, attached, frames, sizes, agent: () => agent as Duplex });
  } finally {
    await app.close();
  }
}

const text = (frames: readonly StdioFrame[]) => frames.map(({ payload }) => payload.toString());

test('output comes by stream, and the exit code at the end', () =>
  withRoutes(async ({ socketPath, agent }) => {
    const channels = await openChannels({ socketPath }, PATH);
    const got: [number, string][] = [];
    const ended = channels.read((stream, bytes) => void got.push([stream, bytes.toString()]));
    agent().write(encodeFrame(STDOUT, 'out'));
    agent().write(encodeFrame(STDERR, 'err'));
    agent().write(encodeEnd({ exitCode: 9 }));
    assert.equal(await ended, { exitCode: 9 });
    assert.equal(got, [
      [STDOUT, 'out'],
      [STDERR, 'err'],
    ]);
  }));

test('input, its end and the size of the terminal go to the agent', () =>
  withRoutes(async ({ socketPath, frames, sizes }) => {
    const channels = await openChannels({ socketPath }, PATH);
    await channels.send(Buffer.from('typed'));
    await channels.resize({ columns: 90, rows: 20 });
    await channels.closeInput();
    await until('all has arrived', () => frames.length === 2 && sizes.length === 1);
    assert.equal(text(frames), ['typed', '']);
    assert.equal(sizes, [{ columns: 90, rows: 20 }]);
    channels.close();
  }));

test('what the agent refuses is answered as the problem it is, before the WebSocket opens', () =>
  withRoutes(async ({ socketPath }) => {
    const path = '/v1/execs/000000000000-000000000000/attach';
    const error = await rejection(openChannels({ socketPath }, path));
    assert.is(error.code, 'not_found');
    assert.match(error.message, /there is none of this id/);
  }));

test('a client that does not read holds the agent back', () =>
  withRoutes(async ({ socketPath, agent }) => {
    const channels = await openChannels({ socketPath }, PATH);
    const chunk = encodeFrame(STDOUT, Buffer.alloc(32 * 1024));
    let sent = 0;
    const send = async () => {
      for (let count = 0; count < 2_000; count += 1) {
        if (!agent().write(chunk)) await once(agent(), 'drain');
        sent += 1;
      }
      agent().write(encodeEnd({ exitCode: 0 }));
    };
    const sending = send();
    let before = -1;
    await until('nothing moves any more', async () => {
      const isStill = sent === before;
      before = sent;
      await new Promise((resolve) => setTimeout(resolve, 50));
      return isStill && sent > 0;
    });
    assert.ok(sent < 200, `${sent} of 2000 pieces were taken for a client that reads none`);
    let bytes = 0;
    const end = await channels.read((_stream, data) => {
      bytes += data.length;
    });
    await sending;
    assert.equal(end, { exitCode: 0 });
    assert.is(bytes, 2_000 * 32 * 1024);
  }));

test('a client that goes away lets go of the agent', () =>
  withRoutes(async ({ socketPath, agent }) => {
    const channels = await openChannels({ socketPath }, PATH);
    channels.close();
    await until('the stream has ended', () => {
      agent().write(encodeFrame(STDOUT, 'x'));
      return agent().destroyed || agent().readableEnded || agent().writableNeedDrain;
    });
  }));

test('a request that is no WebSocket attaches to nothing', () =>
  withRoutes(async ({ socketPath, attached }) => {
    for (const method of ['GET', 'HEAD']) {
      const call = request({ socketPath, path: PATH, method });
      call.end();
      const [response] = (await once(call, 'response')) as [IncomingMessage];
      response.resume();
      assert.is(response.statusCode, 404);
    }
    assert.is(attached.length, 0);
  }));

test('an agent that hangs up without an end is an error, not an exit', () =>
  withRoutes(async ({ socketPath, agent }) => {
    const channels = await openChannels({ socketPath }, PATH);
    const ended = channels.read(() => undefined);
    agent().end();
    const end = await ended;
    assert.match(JSON.stringify(end), /the guest ended the stream/);
  }));

test('a message that is text, or larger than a frame, ends the connection and reaches nobody', () =>
  withRoutes(async ({ socketPath, frames }) => {
    for (const message of ['text', Buffer.alloc(70_000)]) {
      const socket = new WebSocket(`ws+unix:${socketPath}:${PATH}`, 'v5.channel.k8s.io');
      socket.on('error', () => undefined);
      await once(socket, 'open');
      socket.send(message);
      await once(socket, 'close');
    }
    assert.equal(frames, []);
  }));

test.run();
