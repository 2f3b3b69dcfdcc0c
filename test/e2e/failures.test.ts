import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { pollUntil } from '../../platform/deadline.ts';
import type { OffloadError } from '../../platform/errors.ts';
import { QmpClient } from '../../platform/qmp.ts';
import { startTestbed, type Testbed } from '../../testbed/testbed.ts';
import { rejection } from '../helpers/rejection.ts';
import { suite } from '../helpers/suite.ts';
import { tempDirectory } from '../helpers/temp-directory.ts';
import { until } from '../helpers/until.ts';
import { ask, startOnVolume } from '../helpers/volume-redis.ts';
import { completed, deadlineOf, startWarm } from '../helpers/warm-container.ts';

interface Context {
  testbed: Testbed;
  store: string;
}
const test = suite<Context>('what goes wrong in guests');
const GUEST = { memoryMiB: 768, vcpus: 2 };
const MIB = 1024 * 1024;
/** Enough for a small Redis, too little for two. */
const QUOTA_BYTES = 24 * MIB;

test.before(async (context) => {
  context.store = tempDirectory('offload-store');
  context.testbed = await startTestbed({
    guests: [
      { name: 'origin', ...GUEST },
      { name: 'target', ...GUEST },
    ],
    storeDirectory: context.store,
    planeArgs: ['--store-quota-bytes', String(QUOTA_BYTES)],
    onProgress: () => {},
  });
  await context.testbed.importDemoImages(() => {});
});
test.after(async ({ testbed }) => await testbed?.stop());

async function refusal(promise: Promise<unknown>): Promise<OffloadError> {
  const error = await rejection(promise);
  assert.not.match(error.message, /\n/);
  return error;
}

const startRedis = ({ testbed }: Context, name: string, dataMiB: number) =>
  startWarm(testbed, { name, guest: 'origin', size: { dataMiB } });

test('a checkpoint of a container that does not run is refused, and names its state', async ({ testbed }) => {
  await testbed.plane.containers.create({ name: 'idle', guest: 'origin', image: 'redis' });
  const error = await refusal(
    testbed.plane.checkpoints.create({ container: 'idle', id: 'idle', after: 'stop' }),
  );
  assert.is(error.code, 'invalid_state');
  assert.match(error.message, /checkpoint container idle: it is created/);
  await testbed.plane.containers.remove('idle', { force: true });
});

test('a program that does not exist ends the creation with one line, and nothing is left', async ({
  testbed,
}) => {
  const { plane } = testbed;
  const error = await refusal(
    plane.containers.create({
      name: 'typo',
      guest: 'origin',
      image: 'redis',
      entrypoint: ['/no/such/program'],
    }),
  );
  assert.match(error.message, /typo/);
  assert.equal(await plane.containers.list(), []);
  await plane.containers.create({ name: 'typo', guest: 'origin', image: 'redis' });
  await plane.containers.remove('typo', { force: true });
});

test('a container that ends by itself is seen, with its exit code', async ({ testbed }) => {
  const { plane, deadlineScale } = testbed;
  await plane.containers.create({
    name: 'short',
    guest: 'origin',
    image: 'redis',
    entrypoint: ['/bin/sh', '-c', 'echo said; exit 7'],
  });
  await plane.containers.start('short');
  const stopped = await pollUntil(
    async () => {
      const view = await plane.containers.inspect('short');
      return view.phase === 'stopped' ? view : undefined;
    },
    { timeoutMs: 30_000 * deadlineScale, intervalMs: 20, what: 'exit of short' },
  );
  assert.is(stopped.exitCode, 7);
  assert.match(await plane.containers.logs('short'), /^said/);
  await plane.containers.remove('short', { force: true });
});

test('a checkpoint that would pass the store’s quota ends with no_space, and the container runs on', async (context) => {
  const { plane } = context.testbed;
  const { workload, endpoint, facts } = await startRedis(context, 'big', 48);
  const error = await refusal(plane.checkpoints.create({ container: 'big', id: 'big', after: 'stop' }));
  assert.is(error.code, 'no_space');
  assert.match(error.message, /bytes/);
  await workload.verifyAll(endpoint, facts, { deadlineMs: deadlineOf(context.testbed) });
  assert.is((await plane.containers.inspect('big')).phase, 'running');
  assert.equal(await plane.checkpoints.list(), []);
  assert.equal(await readdir(join(context.store, 'incoming')), []);
  await plane.containers.remove('big', { force: true });
});

test('a half-written checkpoint is refused by name', async (context) => {
  await mkdir(join(context.store, 'checkpoints', 'half'), { recursive: true });
  const error = await refusal(
    context.testbed.plane.restores.create({ checkpoint: 'half', guest: 'target', name: 'never' }),
  );
  assert.is(error.code, 'incomplete_checkpoint');
  assert.match(error.message, /half/);
  assert.equal(await context.testbed.plane.containers.list(), []);
  await rm(join(context.store, 'checkpoints', 'half'), { recursive: true });
});

test('a name that is taken is refused, and its owner is unharmed', async (context) => {
  const { plane } = context.testbed;
  const { workload, endpoint, facts } = await startRedis(context, 'owner', 2);
  const error = await refusal(plane.containers.create({ name: 'owner', guest: 'target', image: 'redis' }));
  assert.is(error.code, 'already_exists');
  await workload.verifyAll(endpoint, facts, { deadlineMs: deadlineOf(context.testbed) });
  await plane.containers.remove('owner', { force: true });
});

test('a write that is answered has been flushed to the plane’s device', async ({ testbed }) => {
  await testbed.plane.volumes.create({ name: 'data', sizeBytes: 64 * MIB });
  await startOnVolume(testbed, 'keeper', 'target');
  await ask(testbed, 'keeper', 'SET', 'city', 'Riga');
  const before = await flushCount(testbed, 'target');
  await ask(testbed, 'keeper', 'SET', 'lake', 'Razna');
  assert.ok((await flushCount(testbed, 'target')) > before);
});

/** Of the guest's one disk that it writes to beside its root, as its QEMU counts. */
async function flushCount({ guests }: Testbed, guest: string): Promise<number> {
  const { qmpPath: socketPath } = guests.find(({ name }) => name === guest)!;
  const qmp = await QmpClient.connect({ socketPath, timeoutMs: 60_000 });
  const disks = (await qmp.execute('query-blockstats')) as {
    qdev?: string;
    stats: { flush_operations: number; wr_bytes: number };
  }[];
  qmp.close();
  const writable = disks.filter(({ qdev, stats }) => /disk\d+/.test(qdev ?? '') && stats.wr_bytes > 0);
  assert.is(writable.length, 1);
  return writable[0]!.stats.flush_operations;
}

test('a guest that dies in the middle of a restore ends it with one line, and its container is gone', async (context) => {
  const { plane, guests } = context.testbed;
  await startRedis(context, 'mobile', 8);
  await plane.checkpoints.create({ container: 'mobile', id: 'mobile', after: 'stop' });
  await plane.containers.remove('mobile', { force: true });
  const restoring = refusal(plane.restores.create({ checkpoint: 'mobile', guest: 'target', name: 'doomed' }));
  const doomed = async () => (await plane.containers.list()).find(({ name }) => name === 'doomed');
  const wait = { timeoutMs: deadlineOf(context.testbed), intervalMs: 2 };
  await pollUntil(doomed, { ...wait, what: 'restore under way' });
  process.kill(guests.find(({ name }) => name === 'target')!.pid, 'SIGKILL');
  const error = await restoring;
  assert.is(error.code, 'guest_lost');
  assert.match(error.message, /target/);
  await until('doomed container gone', async () => !(await doomed()));
  const target = async () => (await plane.guests.list()).find(({ name }) => name === 'target')!;
  await until('guest target is lost', async () => (await target()).phase === 'lost');
  const refused = await refusal(
    plane.restores.create({ checkpoint: 'mobile', guest: 'target', name: 'doomed' }),
  );
  assert.is(refused.code, 'guest_lost');
});

test('what is left of that checkpoint restores in the other guest', async ({ testbed }) => {
  const request = { checkpoint: 'mobile', guest: 'origin', name: 'survivor', record: false };
  const { id } = await testbed.plane.restores.create(request);
  await completed(testbed, id);
  await testbed.plane.containers.remove('survivor', { force: true });
});

test('a write that was flushed survives the power cut of its guest', async ({ testbed }) => {
  await startOnVolume(testbed, 'after', 'origin');
  assert.is(await ask(testbed, 'after', 'GET', 'city'), 'Riga');
  assert.is(await ask(testbed, 'after', 'GET', 'lake'), 'Razna');
  for (const name of ['after', 'keeper']) await testbed.plane.containers.remove(name, { force: true });
  await testbed.plane.volumes.remove('data');
});

test('a guest that dies in the middle of a checkpoint leaves nothing of it in the store', async (context) => {
  const { plane, guests } = context.testbed;
  await startRedis(context, 'last', 8);
  const checkpointing = refusal(plane.checkpoints.create({ container: 'last', id: 'last', after: 'stop' }));
  await pollUntil(
    async () => ((await plane.containers.inspect('last')).phase === 'checkpointing' ? true : undefined),
    {
      timeoutMs: deadlineOf(context.testbed),
      intervalMs: 2,
      what: 'checkpoint under way',
    },
  );
  process.kill(guests.find(({ name }) => name === 'origin')!.pid, 'SIGKILL');
  await checkpointing;
  await until(
    'container last is lost',
    async () => (await plane.containers.inspect('last')).phase === 'lost',
  );
  assert.equal(await readdir(join(context.store, 'incoming')), []);
  assert.equal(
    (await plane.checkpoints.list()).map(({ id }) => id),
    ['mobile'],
  );
});

test.run();
