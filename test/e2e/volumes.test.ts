import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { OffloadError } from '../../platform/errors.ts';
import { QmpClient } from '../../platform/qmp.ts';
import { startTestbed, type Testbed } from '../../testbed/testbed.ts';
import { RedisConnection } from '../../testbed/workloads/redis-connection.ts';
import { encodeCommand, type Reply } from '../../testbed/workloads/resp.ts';
import { rejection } from '../helpers/rejection.ts';
import { until } from '../helpers/until.ts';

interface Context {
  testbed: Testbed;
}
const test = suite<Context>('volumes in guests');
const GUEST = { memoryMiB: 768, vcpus: 2 };
const MIB = 1024 * 1024;
/** For Redis: each write is answered after its fsync. */
const COMMAND = ['--dir', '/data', '--appendonly', 'yes', '--appendfsync', 'always'];

test.before(async (context) => {
  context.testbed = await startTestbed({
    guests: [
      { name: 'origin', ...GUEST },
      { name: 'target', ...GUEST },
    ],
    onProgress: () => {},
  });
  await context.testbed.importDemoImages(() => {});
  await context.testbed.plane.volumes.create({ name: 'data', sizeBytes: 64 * MIB });
});
test.after(async ({ testbed }) => {
  await testbed?.stop();
});

const deadlineMs = ({ deadlineScale }: Testbed) => 20_000 * deadlineScale;

/** A Redis that keeps its data in the volume. */
async function startRedis(testbed: Testbed, name: string, guest: string) {
  await testbed.plane.containers.create({
    name,
    guest,
    image: 'redis',
    command: COMMAND,
    ports: [{ containerPort: 6379 }],
    volumes: [{ name: 'data', destination: '/data', readOnly: false }],
  });
  await testbed.plane.containers.start(name);
}

async function ask(testbed: Testbed, name: string, ...words: string[]): Promise<string | undefined> {
  const { ports } = await testbed.plane.containers.inspect(name);
  let reply: Reply | undefined;
  await until(`${name} answers ${words[0]}`, async () => {
    const endpoint = { host: '127.0.0.1', port: ports[0]!.hostPort };
    const connection = new RedisConnection(endpoint, words.join(' '), deadlineMs(testbed));
    try {
      [reply] = await connection.send(encodeCommand(...words), 1);
      // It refuses while it still reads its data.
      return reply?.kind !== 'error';
    } catch {
      return false;
    } finally {
      connection.destroy();
    }
  });
  return reply?.kind === 'bulk' ? String(reply.value) : reply?.kind;
}

test('data in a volume outlives its container, and is there in another guest', async ({ testbed }) => {
  const { plane } = testbed;
  await startRedis(testbed, 'first', 'origin');
  await ask(testbed, 'first', 'SET', 'city', 'Riga');
  const { guest, usedBy } = await plane.volumes.inspect('data');
  assert.is(guest, 'origin');
  assert.equal(usedBy, ['first']);
  await plane.containers.remove('first', { force: true });
  assert.is((await plane.volumes.inspect('data')).guest, undefined);

  await startRedis(testbed, 'second', 'target');
  assert.is(await ask(testbed, 'second', 'GET', 'city'), 'Riga');
});

test('a volume is with one guest at a time, and is not removed under a container', async ({ testbed }) => {
  const { plane } = testbed;
  const refused = await rejection(startRedis(testbed, 'third', 'origin'));
  assert.is(refused.code, 'invalid_state');
  assert.is(refused.message, 'attach volume data to guest origin: container second of guest target has it');
  assert.not((await plane.containers.list()).some(({ name }) => name === 'third'));
  const removal = await rejection(plane.volumes.remove('data'));
  assert.is(removal.message, 'remove volume data: used by second');
});

test('a volume goes along with a container that has ended, and is restored in another guest', async ({
  testbed,
}) => {
  const { plane } = testbed;
  await ask(testbed, 'second', 'SET', 'river', 'Daugava');
  await plane.checkpoints.create({ container: 'second', id: 'with-volume', after: 'stop' });
  await plane.restores.create({ checkpoint: 'with-volume', guest: 'origin', name: 'moved' });
  assert.is(await ask(testbed, 'moved', 'GET', 'river'), 'Daugava');
  await ask(testbed, 'moved', 'SET', 'sea', 'Baltic');
  assert.is((await plane.volumes.inspect('data')).guest, 'origin');
  await plane.containers.remove('second');
});

test('a write that was flushed is on the plane’s device, and survives a power cut', async ({ testbed }) => {
  const { plane, guests } = testbed;
  const origin = guests.find(({ name }) => name === 'origin')!;
  const flushed = async () => {
    const qmp = await QmpClient.connect({ socketPath: origin.qmpPath, timeoutMs: 5_000 });
    const disks = (await qmp.execute('query-blockstats')) as {
      qdev?: string;
      stats: { flush_operations: number; wr_bytes: number };
    }[];
    qmp.close();
    const writable = disks.filter(({ qdev, stats }) => /disk\d+/.test(qdev ?? '') && stats.wr_bytes > 0);
    assert.is(writable.length, 1);
    return writable[0]!.stats.flush_operations;
  };
  const before = await flushed();
  await ask(testbed, 'moved', 'SET', 'lake', 'Razna');
  assert.ok((await flushed()) > before);

  process.kill(origin.pid, 'SIGKILL');
  await until('the guest is lost', async () =>
    (await plane.guests.list()).some(({ name, phase }) => name === 'origin' && phase === 'lost'),
  );
  await startRedis(testbed, 'after', 'target');
  for (const [key, value] of Object.entries({
    city: 'Riga',
    river: 'Daugava',
    sea: 'Baltic',
    lake: 'Razna',
  })) {
    assert.is(await ask(testbed, 'after', 'GET', key), value);
  }
  await plane.containers.remove('after', { force: true });
  // A restore that was not complete has taken its container along.
  await plane.containers.remove('moved', { force: true }).catch((error: OffloadError) => {
    assert.is(error.code, 'not_found');
  });
  await plane.volumes.remove('data');
  assert.equal(await plane.volumes.list(), []);
});

test.run();
