import { execFileSync } from 'node:child_process';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { RedisConnection } from '../../../testbed/workloads/redis-connection.ts';
import { redisWorkload } from '../../../testbed/workloads/redis-workload.ts';
import { encodeCommand } from '../../../testbed/workloads/resp.ts';
import type { WarmUpFacts } from '../../../testbed/workloads/workload.ts';
import { rejection } from '../../helpers/rejection.ts';
import { test } from '../../helpers/suite.ts';
import { tempDirectory } from '../../helpers/temp-directory.ts';
import { cannotBuildReason, demoImages } from '../images/demo-fixture.ts';
import { type Server, startServer } from './child.ts';
import { holdPort } from './held-port.ts';

const reason = cannotBuildReason();
let server: Server;
let facts: WarmUpFacts;
const endpoint = () => ({ host: '127.0.0.1', port: server.port });

/** The Redis of the demo's image, run natively. */
async function startRedis(): Promise<Server> {
  const { redis } = await demoImages();
  const root = join(tempDirectory('images'), 'root');
  execFileSync('umoci', ['raw', 'unpack', '--image', `${redis}:redis`, root], { stdio: 'ignore' });
  return await startServer({
    argv: (port) => [
      'chroot',
      root,
      '/usr/bin/redis-server',
      '/etc/redis/redis.conf',
      '--port',
      String(port),
    ],
    env: () => ({}),
  });
}

if (reason === '') {
  test.before(async () => {
    server = await startRedis();
    await redisWorkload.waitReady(endpoint(), 120_000);
    facts = await redisWorkload.warmUp(endpoint(), redisWorkload.smallSize, { deadlineMs: 120_000 });
  });
  test.after(async () => await server.stop());

  test('a warm Redis answers with the values that follow from their keys', async () => {
    const response = await redisWorkload.firstRequest(endpoint(), facts, { deadlineMs: 60_000 });
    assert.ok(response.responseBytes > 20 * 8128);
    assert.ok(response.connectMs < response.durationMs);
    await redisWorkload.firstRequest(endpoint(), facts, { deadlineMs: 60_000, round: 5 });
    const all = await redisWorkload.verifyAll(endpoint(), facts, { deadlineMs: 120_000 });
    assert.ok(all.responseBytes > redisWorkload.smallSize.dataMiB * 1024 * 1024);
  });

  test('a connection that is held until Redis is there is answered, on that one connection', async () => {
    const held = await holdPort();
    const answer = redisWorkload.firstRequest(held.endpoint, facts, { deadlineMs: 60_000 });
    while (held.connectionCount() === 0) await new Promise((resolve) => setImmediate(resolve));
    held.release(server.port);
    await answer;
    assert.is(held.connectionCount(), 1);
    await held.close();
  });

  test('no connection is left in the server after a request', async () => {
    await redisWorkload.firstRequest(endpoint(), facts, { deadlineMs: 60_000 });
    const connection = new RedisConnection(endpoint(), 'count clients', 60_000);
    const [reply] = await connection.send(encodeCommand('CLIENT', 'LIST'), 1);
    assert.is(reply?.kind === 'bulk' && reply.value?.toString().trim().split('\n').length, 1);
    await connection.close();
  });

  test('a wrong byte on the way is found and named', async () => {
    const held = await holdPort((chunk) => {
      const spoiled = Buffer.from(chunk);
      if (spoiled.length > 4000) spoiled[3000]! ^= 1;
      return spoiled;
    });
    held.release(server.port);
    const error = await rejection(redisWorkload.firstRequest(held.endpoint, facts, { deadlineMs: 60_000 }));
    assert.is(error.code, 'corrupt_page');
    assert.match(error.message, /value of key:\d{8} \(8128 bytes\) is wrong from byte \d+/);
    await held.close();
  });

  test('a key that is gone or one too many is an error', async () => {
    const connection = new RedisConnection(endpoint(), 'spoil', 60_000);
    await connection.send(encodeCommand('SET', 'extra', '1'), 1);
    const extra = await rejection(redisWorkload.firstRequest(endpoint(), facts, { deadlineMs: 60_000 }));
    assert.match(extra.message, /DBSIZE answered \d+, loaded were \d+ keys/);
    await connection.send(encodeCommand('RENAME', 'key:00000000', 'gone'), 1);
    const gone = await rejection(redisWorkload.firstRequest(endpoint(), facts, { deadlineMs: 60_000 }));
    assert.is(gone.message, 'verify redis: GET key:00000000 answered no value');
    await connection.close();
  });
} else {
  console.log(`skipped: the Redis workload against the demo's Redis: ${reason}`);
}

test('an answer that never comes ends at the deadline', async () => {
  const held = await holdPort();
  const someFacts: WarmUpFacts = { workload: 'redis', keyCount: 100, valueBytes: 100 };
  const error = await rejection(redisWorkload.firstRequest(held.endpoint, someFacts, { deadlineMs: 100 }));
  assert.is(error.code, 'deadline_exceeded');
  assert.match(error.message, 'no answer within 100 ms');
  await held.close();
  const refused = await rejection(
    redisWorkload.firstRequest(held.endpoint, someFacts, { deadlineMs: 60_000 }),
  );
  assert.is(refused.code, 'runtime_failed');
  const late = await rejection(redisWorkload.waitReady(held.endpoint, 100));
  assert.is(late.code, 'deadline_exceeded');
});

test('a peer that is no Redis is told from one', async () => {
  const someFacts: WarmUpFacts = { workload: 'redis', keyCount: 100, valueBytes: 100 };
  const http = createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')).listen(0);
  await new Promise((resolve) => http.once('listening', resolve));
  const { port } = http.address() as AddressInfo;
  const error = await rejection(
    redisWorkload.firstRequest({ host: '127.0.0.1', port }, someFacts, { deadlineMs: 2_000 }),
  );
  assert.match(error.message, 'a reply of type "H"');
  http.close();
});

test.run();
