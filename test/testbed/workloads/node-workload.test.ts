import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { getJson } from '../../../testbed/workloads/http-json.ts';
import { nodeWorkload } from '../../../testbed/workloads/node-workload.ts';
import type { WarmUpFacts } from '../../../testbed/workloads/workload.ts';
import { rejection } from '../../helpers/rejection.ts';
import { test } from '../../helpers/suite.ts';
import { type Server, startServer } from './child.ts';
import { holdPort } from './held-port.ts';

const serverFile = join(import.meta.dirname, '../../../testbed/images/node-server/server.mjs');
const size = nodeWorkload.smallSize;
let server: Server;
let facts: WarmUpFacts;
const endpoint = () => ({ host: '127.0.0.1', port: server.port });

test.before(async () => {
  server = await startServer({
    argv: () => [process.execPath, serverFile],
    env: (port) => ({ PORT: String(port), HEAP_MIB: String(size.dataMiB), UV_USE_IO_URING: '0' }),
  });
  await nodeWorkload.waitReady(endpoint(), 120_000);
  facts = await nodeWorkload.warmUp(endpoint(), size, { deadlineMs: 120_000 });
});
test.after(async () => await server.stop());

test('a warm server answers with the digests that follow from its records', async () => {
  const response = await nodeWorkload.firstRequest(endpoint(), facts, { deadlineMs: 60_000 });
  assert.ok(response.durationMs > 0 && response.durationMs < 60_000);
  assert.ok(response.verifiedAtMs <= performance.now());
  await nodeWorkload.firstRequest(endpoint(), facts, { deadlineMs: 60_000, round: 9 });
  await nodeWorkload.verifyAll(endpoint(), facts, { deadlineMs: 60_000 });
  assert.equal(JSON.parse(JSON.stringify(facts)), facts);
});

test('a connection that is held until the server is there is answered, on that one connection', async () => {
  const held = await holdPort();
  const answer = nodeWorkload.firstRequest(held.endpoint, facts, { deadlineMs: 60_000 });
  while (held.connectionCount() === 0) await new Promise((resolve) => setImmediate(resolve));
  held.release(server.port);
  const response = await answer;
  assert.ok(response.connectMs < response.durationMs);
  assert.is(held.connectionCount(), 1);
  await held.close();
});

test('a wrong digest is an error that shows both', async () => {
  const held = await holdPort((chunk) =>
    Buffer.from(chunk.toString('latin1').replace(/"sha256":"./, '"sha256":"x'), 'latin1'),
  );
  held.release(server.port);
  const error = await rejection(nodeWorkload.firstRequest(held.endpoint, facts, { deadlineMs: 60_000 }));
  assert.is(error.code, 'corrupt_page');
  assert.match(error.message, /digest "x[0-9a-f]{63}" should be [0-9a-f]{64}/);
  await held.close();
});

test('an answer that never comes ends at the deadline', async () => {
  const held = await holdPort();
  const error = await rejection(nodeWorkload.firstRequest(held.endpoint, facts, { deadlineMs: 100 }));
  assert.is(error.code, 'deadline_exceeded');
  assert.match(error.message, 'no answer within 100 ms');
  await held.close();
  const ready = await rejection(nodeWorkload.waitReady(held.endpoint, 100));
  assert.is(ready.code, 'deadline_exceeded');
  const refused = await rejection(nodeWorkload.firstRequest(held.endpoint, facts, { deadlineMs: 60_000 }));
  assert.match(refused.message, 'ECONNREFUSED');
});

test('a server of another size is not taken for a warm one', async () => {
  const error = await rejection(
    nodeWorkload.warmUp(endpoint(), { dataMiB: size.dataMiB + 1 }, { deadlineMs: 60_000 }),
  );
  assert.is(error.code, 'invalid_state');
});

test('facts of the other workload are refused', async () => {
  const error = await rejection(
    nodeWorkload.firstRequest(
      endpoint(),
      { workload: 'redis', keyCount: 1, valueBytes: 1 },
      { deadlineMs: 100 },
    ),
  );
  assert.is(error.code, 'invalid_request');
});

test('a stream has the length asked for, and a sink counts and sums what it got', async () => {
  const base = `http://127.0.0.1:${server.port}`;
  const streamed = await fetch(`${base}/stream?bytes=1000001`);
  const bytes = Buffer.from(await streamed.arrayBuffer());
  assert.is(bytes.length, 1_000_001);
  const sunk = await fetch(`${base}/sink`, { method: 'POST', body: bytes });
  const { crc32 } = await import('node:zlib');
  assert.equal(await sunk.json(), { bytes: 1_000_001, crc32: crc32(bytes) });
});

test('a bad request to the server is answered with the range', async () => {
  const answer = await getJson(endpoint(), '/digest?count=0', 60_000);
  assert.is(answer.status, 400);
  assert.match(String(answer.body.error), 'count is "0", not an integer from 1 to');
  assert.is((await getJson(endpoint(), '/stream', 60_000)).status, 400);
  assert.is((await getJson(endpoint(), '/nothing', 60_000)).status, 404);
});

test.run();
