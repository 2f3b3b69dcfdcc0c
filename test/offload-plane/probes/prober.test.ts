import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { ContainerAccess } from '../../../offload-plane/probes/container-access.ts';
import { portsOf } from '../../../offload-plane/probes/probe.ts';
import { prepare, probeOnce, untilReady } from '../../../offload-plane/probes/prober.ts';
import { OffloadError } from '../../../platform/errors.ts';
import { freePort } from '../../../testbed/scenarios/free-port.ts';
import { rejection } from '../../helpers/rejection.ts';

interface World {
  server: Server;
  port: number;
  /** What was asked, in order. */
  asked: string[];
  /** Answers with this status from now on. */
  status: number;
  commands: string[][];
  exitCode: number;
  access: ContainerAccess;
}
const test = suite<World>('prober');
const OPTIONS = { timeoutMs: 60_000, readyTimeoutMs: 120_000, nowMs: () => performance.now() };

test.before.each(async (context) => {
  Object.assign(context, { asked: [], status: 200, commands: [], exitCode: 0 });
  context.server = createServer(async (request, response) => {
    const body = (await request.toArray()).join('');
    context.asked.push(`${request.method} ${request.url} ${body}`.trim());
    response.writeHead(context.status).end('answer');
  });
  await new Promise<void>((resolve) => context.server.listen(0, '127.0.0.1', resolve));
  context.port = (context.server.address() as AddressInfo).port;
  context.access = {
    name: 'web',
    async dial(port) {
      const socket = connect(port, '127.0.0.1');
      await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
      return socket;
    },
    async run(command) {
      context.commands.push([...command]);
      return context.exitCode;
    },
  };
});
test.after.each(({ server }) => {
  server.closeAllConnections();
  server.close();
});

test('a port, an answer and a program each say that a container is ready', async (context) => {
  const { access, port } = context;
  await probeOnce(access, { tcp: { port } }, OPTIONS);
  await probeOnce(access, { http: { port, path: '/health' } }, OPTIONS);
  await probeOnce(access, { exec: { command: ['true', '-x'] } }, OPTIONS);
  assert.equal(context.asked, ['GET /health']);
  assert.equal(context.commands, [['true', '-x']]);
});

test('an answer of another status, and a program that fails, say that it is not', async (context) => {
  const { access, port } = context;
  context.status = 503;
  const refused = (probe: Parameters<typeof probeOnce>[1]) =>
    probeOnce(access, probe, OPTIONS).then(
      () => 'ready',
      (error: Error) => error.message,
    );
  assert.is(await refused({ http: { port, path: '/' } }), 'GET / answered 503');
  assert.is(await refused({ http: { port, path: '/', status: 503 } }), 'ready');
  context.exitCode = 7;
  assert.is(await refused({ exec: { command: ['false'] } }), 'false ended with exit code 7');
  assert.match(await refused({ tcp: { port: await freePort() } }), /ECONNREFUSED/);
});

test('a container that becomes ready is waited for', async (context) => {
  context.status = 500;
  const ready = untilReady(context.access, { http: { port: context.port, path: '/' } }, OPTIONS);
  for (let refused = 0; refused < 2; refused += 1) await once(context.server, 'request');
  context.status = 204;
  await ready;
  assert.ok(context.asked.length >= 2);
});

test('one that does not is given up after its deadline, with what the last probe said', async ({
  access,
}) => {
  const closed = await freePort();
  const error = await rejection(
    untilReady(access, { tcp: { port: closed } }, { ...OPTIONS, readyTimeoutMs: 250 }),
  );
  assert.is(error.code, 'deadline_exceeded');
  assert.match(error.message, /^container web is not ready after 250 ms: .*ECONNREFUSED/);
});

test('one that has ended is not waited for', async ({ access }) => {
  const gone = async () => {
    throw new OffloadError('invalid_state', 'connect to container web: it is stopped, not running');
  };
  const error = await rejection(untilReady({ ...access, dial: gone }, { tcp: { port: 1 } }, OPTIONS));
  assert.is(error.code, 'invalid_state');
});

test('warm-up requests follow the probe, as many as were asked for, in their order', async (context) => {
  const { access, port } = context;
  const told: string[] = [];
  await prepare(
    access,
    {
      ready: { tcp: { port } },
      warmUp: [
        { http: { port, path: '/a' }, count: 3 },
        { http: { port, path: '/b', method: 'POST', body: 'x=1' }, count: 1 },
        { exec: { command: ['warm'] }, count: 2 },
      ],
    },
    { ...OPTIONS, progress: (text) => told.push(text) },
  );
  assert.equal(context.asked, ['GET /a', 'GET /a', 'GET /a', 'POST /b x=1']);
  assert.equal(context.commands, [['warm'], ['warm']]);
  assert.is(told[0], 'waiting until it is ready');
  assert.is(told.at(-1), 'warm-up request 6 of 6');
});

test('a warm-up request that fails ends it and is named; a cancelled one asks no more', async (context) => {
  const { access, port } = context;
  const warmUp = [{ http: { port, path: '/a' }, count: 5 }];
  context.status = 404;
  const error = await rejection(prepare(access, { warmUp }, OPTIONS));
  assert.is(error.message, 'warm up container web: GET /a, 1 of 5: it answered 404');
  context.status = 200;
  const cancel = new AbortController();
  context.server.on('request', () => cancel.abort());
  const cancelled = await rejection(prepare(access, { warmUp }, { ...OPTIONS, signal: cancel.signal }));
  assert.is(cancelled.code, 'cancelled');
  assert.is(context.asked.length, 2);
});

test('the ports of a preparation are each named once', () => {
  const warmUp = [
    { http: { port: 80, path: '/' }, count: 1 },
    { http: { port: 81, path: '/' }, count: 1 },
    { exec: { command: ['x'] }, count: 1 },
  ];
  assert.equal(portsOf({ ready: { tcp: { port: 80 } }, warmUp }), [80, 81]);
  assert.equal(portsOf({}), []);
});

test.run();
