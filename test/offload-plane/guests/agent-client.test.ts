import { duplexPair, Readable } from 'node:stream';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createAgentClient } from '../../../offload-plane/guests/agent-client.ts';
import { agentPeer } from '../../helpers/agent-peer.ts';
import { rejection } from '../../helpers/rejection.ts';
import { until } from '../../helpers/until.ts';

const TIMEOUT = { timeoutMs: 60_000 };

test('a call that gets no answer ends at its deadline and the connection goes on', async () => {
  const { client } = agentPeer((request, response) => {
    if (request.url !== '/v1/health') response.end('[]');
  });
  const error = await rejection(client.call('health', undefined, { timeoutMs: 30 }));
  assert.is(error.code, 'deadline_exceeded');
  assert.is(error.message, 'GET /v1/health: guest guest-a gave no answer within 30 ms');
  assert.equal(await client.call('listContainers', undefined, TIMEOUT), []);
  client.close();
  await client.closed;
});

test('an answer outside the schema is the guest’s fault', async () => {
  const { client } = agentPeer((_request, response) => response.end('[{"id": "web", "phase": "odd"}]'));
  const error = await rejection(client.call('listContainers', undefined, TIMEOUT));
  assert.is(error.code, 'guest_lost');
  assert.match(error.message, /answered outside the schema$/);
  client.close();
});

test('an answer without an end is cut off', async () => {
  function* forever() {
    while (true) yield Buffer.alloc(16 * 1024, ' ');
  }
  const { client } = agentPeer((_request, response) => void Readable.from(forever()).pipe(response));
  const error = await rejection(client.call('listContainers', undefined, TIMEOUT));
  assert.is(error.message, 'GET /v1/containers: an answer of over 1048576 bytes');
  client.close();
});

test('a peer that answers no PING is lost, and what waits for it fails', async () => {
  const [near, far] = duplexPair();
  far.resume();
  const client = createAgentClient('guest-a', near, 400);
  const call = rejection(client.call('health', undefined, TIMEOUT));
  const stream = rejection(client.stream({ method: 'GET', path: '/v1/events', ...TIMEOUT }));
  await client.closed;
  assert.is((await call).code, 'guest_lost');
  assert.is((await stream).code, 'guest_lost');
  const late = await rejection(client.call('health', undefined, TIMEOUT));
  assert.is(late.message, 'GET /v1/health: guest guest-a is not connected');
});

test('a peer that answers PINGs is kept, however short the deadline', async () => {
  let pings = 0;
  const onPing = () => {
    pings += 1;
  };
  const { client, near } = agentPeer(undefined, { pingTimeoutMs: 2_000, onPing });
  await until('a few PINGs', () => pings >= 5);
  assert.not(near.destroyed);
  client.close();
});

test('what streams over a connection that breaks ends with an error, and not as if it were whole', async () => {
  const { client, far } = agentPeer((_request, response) => void response.write('the beginning'));
  const stream = await client.stream({ method: 'GET', path: '/v1/containers/web/logs', ...TIMEOUT });
  let read = '';
  const reading = rejection(
    (async () => {
      for await (const chunk of stream) read += String(chunk);
    })(),
  );
  await until('it has begun', () => read === 'the beginning');
  far.end();
  const error = await reading;
  assert.is(error.code, 'guest_lost');
  assert.is(error.message, 'guest guest-a hung up');
});

test.run();
