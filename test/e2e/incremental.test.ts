/** Checkpoints that bring only what has changed: on top of an earlier one, and by pre-dumps. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { CheckpointView } from '../../offload-plane/checkpoints/checkpoints.ts';
import { pollUntil } from '../../platform/deadline.ts';
import { startTestbed, type Testbed } from '../../testbed/testbed.ts';
import { RedisConnection } from '../../testbed/workloads/redis-connection.ts';
import { encodeCommand } from '../../testbed/workloads/resp.ts';
import type { Endpoint, WarmUpFacts } from '../../testbed/workloads/workload.ts';
import { WORKLOADS } from '../../testbed/workloads/workloads.ts';
import { rejection } from '../helpers/rejection.ts';

interface World {
  testbed: Testbed;
  endpoint: Endpoint;
  facts: WarmUpFacts;
  deadlineMs: number;
}

const test = suite<World>('incremental checkpoints');
const GUEST = { memoryMiB: 1_024, vcpus: 2 };
const { redis } = WORKLOADS;
const DATA_MIB = 32;
/** Keys written between two checkpoints. */
const CHANGED_KEYS = 40;
/** The kernel writes a thread's rseq area before a held restore is compared. */
const COMPARABLE_ENV = 'GLIBC_TUNABLES=glibc.pthread.rseq=0';

test.before(async (context) => {
  context.testbed = await startTestbed({
    guests: [
      { name: 'origin', ...GUEST },
      { name: 'target', ...GUEST },
    ],
    onProgress: () => {},
  });
  const { testbed } = context;
  await testbed.importDemoImages(() => {});
  context.deadlineMs = 30_000 * testbed.deadlineScale;
  const created = await testbed.plane.createContainer({
    name: 'grown',
    guest: 'origin',
    image: 'redis',
    env: [COMPARABLE_ENV],
    ports: [{ containerPort: redis.containerPort }],
  });
  await testbed.plane.startContainer('grown');
  context.endpoint = { host: '127.0.0.1', port: created.ports[0]!.hostPort };
  await redis.waitReady(context.endpoint, context.deadlineMs);
  context.facts = await redis.warmUp(
    context.endpoint,
    { dataMiB: DATA_MIB },
    { deadlineMs: context.deadlineMs },
  );
});
test.after(async ({ testbed }) => await testbed?.stop());

const keys = (round: string) => Array.from({ length: CHANGED_KEYS }, (_, index) => `${round}-${index}`);
const textOf = (key: string) => key.repeat(50);

async function commands(world: World, endpoint: Endpoint, list: readonly Buffer[]) {
  const connection = new RedisConnection(endpoint, 'change', world.deadlineMs);
  try {
    return await connection.send(Buffer.concat(list), list.length);
  } finally {
    await connection.close();
  }
}

const change = (world: World, round: string) =>
  commands(
    world,
    world.endpoint,
    keys(round).map((key) => encodeCommand('SET', key, textOf(key))),
  );

function log(what: string, view: CheckpointView) {
  console.log(what, JSON.stringify(view));
}

/** Restores into the other guest: held and compared byte for byte, then running with the data of `rounds`. */
async function assertRestores(world: World, checkpoint: string, rounds: readonly string[]): Promise<void> {
  const { plane } = world.testbed;
  const complete = async (id: string) =>
    pollUntil(async () => ((await plane.inspectRestore(id)).phase === 'complete' ? true : undefined), {
      timeoutMs: world.deadlineMs,
      intervalMs: 50,
      what: `all pages of ${id}`,
    });
  const request = { checkpoint, guest: 'target', name: 'again', policy: 'lazy' } as const;
  const held = await plane.restore({ ...request, hold: true });
  await complete(held.id);
  const { memory } = await plane.compareMemory(held.id);
  assert.ok(memory!.pages > 0);
  assert.is(memory!.equal, memory!.pages, `${checkpoint}: held restore`);
  await plane.removeContainer('again');

  const running = await plane.restore(request);
  const { ports } = await plane.inspectContainer('again');
  const endpoint = { host: '127.0.0.1', port: ports[0]!.hostPort };
  const changed = rounds.flatMap(keys);
  const replies = await commands(
    world,
    endpoint,
    changed.map((key) => encodeCommand('GET', key)),
  );
  assert.equal(
    replies.map((reply) => (reply.kind === 'bulk' ? String(reply.value) : reply.kind)),
    changed.map(textOf),
  );
  await complete(running.id);
  const view = await plane.compareMemory(running.id);
  assert.is(view.pagesVerified, true);
  assert.is(view.memory!.changed, view.memory!.softDirtyChanged);
  await commands(world, endpoint, [encodeCommand('DEL', ...changed)]);
  await redis.verifyAll(endpoint, world.facts, { deadlineMs: world.deadlineMs });
  await plane.removeContainer('again');
}

test('a checkpoint on top of another brings what has changed since, and restores without it', async (world) => {
  const { plane } = world.testbed;
  const base = await plane.createCheckpoint({ container: 'grown', id: 'base', after: 'resume' });
  log('base', base);
  await change(world, 'first');
  const child = await plane.createCheckpoint({
    container: 'grown',
    id: 'child',
    after: 'resume',
    parent: 'base',
  });
  log('child', child);
  assert.is(child.parent, 'base');
  assert.ok(child.inheritedPageCount > child.pageCount / 2);
  assert.ok(child.transfers![0]!.receivedBytes < base.transfers![0]!.receivedBytes / 2);
  assert.ok(child.bytes < base.bytes / 2);
  await plane.removeCheckpoint('base');
  await assertRestores(world, 'child', ['first']);
});

test('one that the container has not run on from is no parent, and the container runs on', async (world) => {
  const { plane } = world.testbed;
  const on = (parent: string) =>
    rejection(plane.createCheckpoint({ container: 'grown', id: 'refused', after: 'resume', parent }));
  assert.is((await on('base')).code, 'not_found');
  const other = await plane.createCheckpoint({ container: 'grown', id: 'other', after: 'resume' });
  log('other', other);
  const error = await on('child');
  assert.is(error.code, 'invalid_state');
  assert.is(
    error.message,
    'checkpoint container grown on top of child: its changes are tracked since checkpoint other',
  );
  assert.is((await plane.inspectContainer('grown')).phase, 'running');
});

test('what crosses in pre-dumps need not cross while the container stands still', async (world) => {
  const { plane } = world.testbed;
  await change(world, 'second');
  const pre = await plane.createCheckpoint({
    container: 'grown',
    id: 'pre',
    after: 'stop',
    preDumpRounds: 2,
  });
  log('pre', pre);
  const [first, second, last] = pre.transfers!;
  assert.ok(first!.preDump && second!.preDump && !last!.preDump);
  assert.ok(last!.receivedBytes < first!.receivedBytes / 2);
  assert.equal((await plane.checkpoints()).map(({ id }) => id).sort(), ['child', 'other', 'pre']);
  await plane.removeContainer('grown');
  await assertRestores(world, 'pre', ['first', 'second']);
});

test.run();
