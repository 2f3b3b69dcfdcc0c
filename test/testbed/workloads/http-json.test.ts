import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { getJson, type JsonAnswer } from '../../../testbed/workloads/http-json.ts';
import { rejection } from '../../helpers/rejection.ts';

async function ask(answer: (response: ServerResponse) => void, deadlineMs = 60_000): Promise<JsonAnswer> {
  const server = createServer((_request, response) => answer(response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  try {
    return await getJson({ host: '127.0.0.1', port }, '/walk', deadlineMs);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

test('an answer is given with its status, its length and when it was connected', async () => {
  const answer = await ask((response) => response.writeHead(404).end('{"error": "none"}'));
  assert.is(answer.status, 404);
  assert.equal(answer.body, { error: 'none' });
  assert.is(answer.bodyBytes, '{"error": "none"}'.length);
  assert.ok(answer.connectMs > 0);
  assert.ok(answer.answeredAtMs <= performance.now());
});

test('an answer that is cut off, too long or no JSON object is none', async () => {
  for (const [answer, message] of [
    [(response: ServerResponse) => response.end('<html>'), /JSON/],
    [(response: ServerResponse) => response.end('3'), /the body is no JSON object$/],
    [(response: ServerResponse) => response.end('x'.repeat(70_000)), /a body of more than 65536 bytes$/],
    [(response: ServerResponse) => response.destroy(), /socket hang up$/],
    [
      (response: ServerResponse) => {
        response.writeHead(200, { 'content-length': '100' });
        response.write('{"half": ', () => response.destroy());
      },
      /^GET \/walk at 127\.0\.0\.1:\d+: /,
    ],
  ] as const) {
    const error = await rejection(ask(answer));
    assert.is(error.code, 'runtime_failed');
    assert.match(error.message, message);
  }
});

test('a server that does not answer, or does not finish, meets the deadline', async () => {
  for (const answer of [() => {}, (response: ServerResponse) => response.write('{"half": ')]) {
    const error = await rejection(ask(answer, 60));
    assert.is(error.code, 'deadline_exceeded');
    assert.match(error.message, /^GET \/walk at 127\.0\.0\.1:\d+: no answer within 60 ms$/);
  }
});

test('a port where nobody listens says so', async () => {
  const error = await rejection(getJson({ host: '127.0.0.1', port: 1 }, '/walk', 60_000));
  assert.is(error.code, 'runtime_failed');
  assert.match(error.message, /ECONNREFUSED/);
});

test.run();
