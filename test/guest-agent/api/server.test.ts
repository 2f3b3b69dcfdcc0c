import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import http2 from 'node:http2';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { type Duplex, duplexPair, Readable } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import tar from 'tar-stream';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createApiServer } from '../../../guest-agent/api/server.ts';
import { containerPaths } from '../../../guest-agent/paths.ts';
import {
  type AgentEvent,
  agentPath,
  agentStreams,
  REQUEST_ID_HEADER,
} from '../../../interconnect/agent-api.ts';
import { type AgentClient, createAgentClient } from '../../../offload-plane/guests/agent-client.ts';
import { followEvents } from '../../../offload-plane/guests/agent-events.ts';
import { type AgentWorld, createAgentWorld } from '../../helpers/agent-world.ts';
import { CONTAINER_SPEC } from '../../helpers/container-spec.ts';
import { rejection } from '../../helpers/rejection.ts';
import { until } from '../../helpers/until.ts';

const TIMEOUT = { timeoutMs: 120_000 };
const WEB = { params: { id: 'web' }, ...TIMEOUT };

interface Connected {
  world: AgentWorld;
  client: AgentClient;
  /** The plane's end of the connection. */
  socket: Duplex;
}

/** A real agent's API and a real client of it, joined by a pair of streams. */
async function connected(body: (parts: Connected) => Promise<void>): Promise<void> {
  const world = await createAgentWorld('agent-api');
  const server = createApiServer(world.agent);
  const [near, far] = duplexPair();
  server.accept(far);
  const client = createAgentClient('guest-a', near, 60_000);
  try {
    await body({ world, client, socket: near });
  } finally {
    client.close();
  }
}

const runWeb = async (client: AgentClient) => {
  await client.call('createContainer', CONTAINER_SPEC, TIMEOUT);
  await client.call('startContainer', {}, WEB);
};

/** A call that the typed client would not make. */
async function raw(client: AgentClient, method: string, path: string, body: unknown) {
  return rejection(
    client.upload(
      { method, path, contentType: 'application/json', ...TIMEOUT },
      Readable.from([JSON.stringify(body)]),
    ),
  );
}

test("a container's life goes over the connection", async () => {
  await connected(async ({ client, world }) => {
    assert.is((await client.call('health', undefined, TIMEOUT)).crun, '1.28');
    await runWeb(client);
    assert.equal(await client.call('listContainers', undefined, TIMEOUT), [
      { id: 'web', phase: 'running', address: '127.0.0.1/8', pid: 4242 },
    ]);
    assert.is((await client.call('killContainer', { signal: 'SIGTERM' }, WEB)).phase, 'running');
    assert.is(world.crunCalls().at(-1), 'kill web 15');
    assert.is((await client.call('containerStats', undefined, WEB)).pidCount, 0);
    assert.equal(await client.call('deleteContainer', undefined, WEB), {});
    assert.equal(await client.call('listContainers', undefined, TIMEOUT), []);
  });
});

test('a request outside the schema is refused with the field, and has no effect', async () => {
  await connected(async ({ client, world }) => {
    const unknown = await raw(client, 'POST', '/v1/containers', { ...CONTAINER_SPEC, privileged: true });
    assert.is(unknown.code, 'invalid_request');
    assert.match(unknown.message, /^POST \/v1\/containers: .*additional properties/);
    const missing = await raw(client, 'POST', '/v1/containers', { id: 'web' });
    assert.match(missing.message, /must have required propert/);
    const inPath = await raw(client, 'POST', '/v1/containers/UPPER/start', {});
    assert.is(inPath.code, 'invalid_request');
    assert.equal(world.agent.containers.list(), []);
    await client.call('createContainer', CONTAINER_SPEC, TIMEOUT);
    const extra = await raw(client, 'POST', '/v1/containers/web/start', { now: true });
    assert.is(extra.code, 'invalid_request');
    assert.is(world.agent.containers.inspect('web').phase, 'created');
  });
});

test('what is too long, no call or no path is refused, and the connection goes on', async () => {
  await connected(async ({ client }) => {
    const long = await raw(client, 'POST', '/v1/containers', { id: 'x'.repeat(1024 * 1024) });
    assert.is(long.code, 'body_too_large');
    assert.is(long.message, 'POST /v1/containers: over 1048576 bytes');
    const proto = JSON.parse('{"__proto__": {"polluted": true}}') as object;
    assert.is((await raw(client, 'POST', '/v1/containers/web/start', proto)).code, 'invalid_request');
    const encoded = await raw(client, 'POST', '/v1/containers/%zz/start', {});
    assert.is(encoded.message, 'POST /v1/containers/%zz/start: not percent-encoded');
    const query = await rejection(client.stream({ method: 'GET', path: '/v1/events?since=now', ...TIMEOUT }));
    assert.is(query.message, 'GET /v1/events?since=now: query: since must be integer');
    assert.equal(await client.call('listContainers', undefined, TIMEOUT), []);
  });
});

test('a change that is asked for twice under one id is made once, and answered twice', async () => {
  const world = await createAgentWorld('agent-api');
  const server = createApiServer(world.agent);
  const [near, far] = duplexPair();
  server.accept(far);
  const session = http2.connect('http://agent', { createConnection: () => near });
  const post = async (path: string, body: object, id?: string) => {
    const headers = { ':method': 'POST', ':path': path, 'content-type': 'application/json' };
    const stream = session.request(id === undefined ? headers : { ...headers, [REQUEST_ID_HEADER]: id });
    stream.end(JSON.stringify(body));
    return JSON.parse(await text(stream)) as { phase?: string; message?: string };
  };
  try {
    const created = await Promise.all([
      post('/v1/containers', CONTAINER_SPEC, 'one'),
      post('/v1/containers', CONTAINER_SPEC, 'one'),
    ]);
    assert.equal(created[0], created[1]);
    assert.is(created[0]?.phase, 'created');
    const started = await post('/v1/containers/web/start', {}, 'two');
    assert.equal(await post('/v1/containers/web/start', {}, 'two'), started);
    assert.equal(world.crunCalls(), ['start web']);
    const again = await post('/v1/containers/web/start', {});
    assert.is(again.message, 'start container web: it is running, not created');
    assert.match(
      (await post('/v1/containers/web/start', {}, 'no id')).message ?? '',
      /x-request-id is not 1 to/,
    );
  } finally {
    session.close();
  }
});

test('a restore whose specification is of another container is refused', async () => {
  await connected(async ({ client }) => {
    const body = {
      spec: CONTAINER_SPEC,
      token: 'ab'.repeat(32),
      lazyPages: true,
      hold: false,
      deadlineMs: 1,
    };
    const error = await rejection(
      client.call('restoreContainer', body, { params: { id: 'other' }, ...TIMEOUT }),
    );
    assert.is(error.message, 'restore container other: its spec is of web');
  });
});

test('an unknown call, an unknown container and a broken body each have their own answer', async () => {
  await connected(async ({ client }) => {
    const call = await raw(client, 'POST', '/v1/reboot', {});
    assert.is(call.code, 'not_found');
    assert.is(call.message, 'POST /v1/reboot: no such call');
    const container = await rejection(client.call('inspectContainer', undefined, WEB));
    assert.is(container.code, 'not_found');
    assert.is(container.message, 'container web: there is none of this name');
    const json = await rejection(
      client.upload(
        { method: 'POST', path: '/v1/containers', contentType: 'application/json', ...TIMEOUT },
        Readable.from(['{"id":']),
      ),
    );
    assert.is(json.code, 'invalid_request');
  });
});

test("an error of the agent keeps its code and message on the plane's side", async () => {
  await connected(async ({ client, world }) => {
    world.fail('conmon', '{"data": -1, "message": "crun: no such file"}');
    const error = await rejection(client.call('createContainer', CONTAINER_SPEC, TIMEOUT));
    assert.is(error.code, 'runtime_failed');
    assert.is(error.message, 'crun create web: crun: no such file');
  });
});

test('images are taken as a tar; a hostile one is refused and says why', async () => {
  await connected(async ({ client }) => {
    const upload = (name: string) => {
      const pack = tar.pack();
      pack.entry({ name }, 'x'.repeat(300_000));
      pack.finalize();
      const { method, path } = agentStreams.putImages;
      const call = {
        method,
        path: agentPath(path, { id: 'web' }),
        contentType: 'application/x-tar',
        ...TIMEOUT,
      };
      return client.upload(call, Readable.from(pack));
    };
    assert.equal(await upload('images/core-1.img'), {});
    const error = await rejection(upload('../../etc/passwd'));
    assert.is(error.code, 'invalid_request');
    assert.is(error.message, 'images tar: unexpected entry ../../etc/passwd');
  });
});

test("a stream to a container's port carries bytes both ways, and each half ends by itself", async () => {
  const echo = createServer({ allowHalfOpen: true }, (socket) => {
    socket.write('hello ');
    socket.pipe(socket);
  });
  echo.listen(0, '127.0.0.1');
  await once(echo, 'listening');
  const { port } = echo.address() as AddressInfo;
  await connected(async ({ client }) => {
    await runWeb(client);
    const { method, path } = agentStreams.connectPort;
    const call = { method, path: agentPath(path, { id: 'web', port }), ...TIMEOUT };
    const stream = await client.stream({ ...call, contentType: 'application/octet-stream' });
    const megabyte = Buffer.alloc(1024 * 1024, 'm');
    stream.end(megabyte);
    const answer = await buffer(stream);
    assert.is(answer.length, 'hello '.length + megabyte.length);
    assert.ok(answer.subarray(6).equals(megabyte));
  });
  echo.close();
});

test('a port where nobody listens is refused, and so is one of a container that does not run', async () => {
  const closed = createServer();
  closed.listen(0, '127.0.0.1');
  await once(closed, 'listening');
  const { port } = closed.address() as AddressInfo;
  closed.close();
  await once(closed, 'close');
  await connected(async ({ client, world }) => {
    await client.call('createContainer', CONTAINER_SPEC, TIMEOUT);
    const { method, path } = agentStreams.connectPort;
    const open = (to: number) =>
      client.stream({
        method,
        path: agentPath(path, { id: 'web', port: to }),
        contentType: 'application/octet-stream',
        ...TIMEOUT,
      });
    const early = await rejection(open(port));
    assert.is(early.code, 'invalid_state');
    assert.match(early.message, /^connect to container web: it is created, not running/);
    await client.call('startContainer', {}, WEB);
    const error = await rejection(open(port));
    assert.is(error.code, 'guest_lost');
    assert.match(error.message, /answered with status 502$/);
    assert.is((await rejection(open(0))).code, 'invalid_request');
    assert.is(world.agent.containers.inspect('web').phase, 'running');
  });
});

test('a client that hangs up ends the connection in the container', async () => {
  const accepted: Socket[] = [];
  const server = createServer((socket) => accepted.push(socket.on('error', () => {}).resume()));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await connected(async ({ client }) => {
    await runWeb(client);
    const { method, path } = agentStreams.connectPort;
    const stream = await client.stream({
      method,
      path: agentPath(path, { id: 'web', port }),
      contentType: 'application/octet-stream',
      ...TIMEOUT,
    });
    await until('the connection', () => accepted.length === 1);
    stream.destroy();
    await until('its end', () => accepted[0]?.destroyed);
  });
  server.close();
});

test('events come as they happen, those from before first', async () => {
  await connected(async ({ client, world }) => {
    world.agent.events.emit({ container: 'old', event: 'deleted' });
    const seen: AgentEvent[] = [];
    let caughtUp = 0;
    const stop = followEvents(client, 0, {
      event: (event) => void seen.push(event),
      caughtUp() {
        caughtUp = seen.length;
      },
    });
    await until('the past event', () => caughtUp === 1);
    await runWeb(client);
    world.leaveExit('web', 7);
    await until('the exit', () => seen.length === 4);
    assert.equal(
      seen.map(({ event }) => event),
      ['deleted', 'created', 'started', 'exited'],
    );
    assert.is(seen[3]?.exitCode, 7);
    stop();
  });
});

test("a container's output so far can be read", async () => {
  await connected(async ({ client, world }) => {
    await client.call('createContainer', CONTAINER_SPEC, TIMEOUT);
    const { log, data } = containerPaths(world.paths, 'web');
    mkdirSync(data, { recursive: true });
    writeFileSync(log, '2026-01-01T00:00:00Z stdout F ready\n');
    const { method, path } = agentStreams.logs;
    const stream = await client.stream({ method, path: agentPath(path, { id: 'web' }), ...TIMEOUT });
    assert.match(await text(stream), /stdout F ready/);
  });
});

test('at most eight connections are held', async () => {
  const server = createApiServer((await createAgentWorld('agent-api')).agent);
  const pairs = Array.from({ length: 9 }, () => duplexPair());
  for (const [, far] of pairs) server.accept(far);
  assert.equal(
    pairs.map(([, far]) => far.destroyed),
    [...Array(8).fill(false), true],
  );
  for (const [, far] of pairs) far.destroy();
});

test.run();
