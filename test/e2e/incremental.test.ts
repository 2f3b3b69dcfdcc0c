/**
 * Checkpoints that bring only what has changed. A chain is taken of a container that works all the while:
 * one with pre-dumps, one on top of it, and a last one on top of that while the container's program is
 * stopped. A whole checkpoint of the program that has not moved says what the last one has to hold.
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { CheckpointView } from '../../offload-plane/checkpoints/checkpoints.ts';
import type { PageStore } from '../../offload-plane/page-store/contract.ts';
import { openPageStore } from '../../offload-plane/page-store/store.ts';
import { pollUntil } from '../../platform/deadline.ts';
import { startTestbed, type Testbed } from '../../testbed/testbed.ts';
import type { Endpoint, WarmUpFacts, Workload } from '../../testbed/workloads/workload.ts';
import { WORKLOADS } from '../../testbed/workloads/workloads.ts';
import { rejection } from '../helpers/rejection.ts';
import { tempDirectory } from '../helpers/temp-directory.ts';

interface World {
  testbed: Testbed;
  storeDirectory: string;
  deadlineMs: number;
}

const test = suite<World>('incremental checkpoints');
const GUEST = { memoryMiB: 1_024, vcpus: 2 };
const NAMES = ['redis', 'node'] as const;
/** Without restartable sequences: the kernel writes a page a thread of them, held restore or not (rseq(2)). */
const COMPARABLE_ENV = 'GLIBC_TUNABLES=glibc.pthread.rseq=0';

test.before(async (context) => {
  context.storeDirectory = tempDirectory('incremental-store');
  context.testbed = await startTestbed({
    storeDirectory: context.storeDirectory,
    guests: [
      { name: 'origin', ...GUEST },
      { name: 'target', ...GUEST },
    ],
    onProgress: () => {},
  });
  context.deadlineMs = 30_000 * context.testbed.deadlineScale;
  await context.testbed.importDemoImages(() => {});
});
test.after(async (context) => await stopTestbed(context));

/** Once: the last test looks at the store without the plane. */
async function stopTestbed(context: Partial<World>): Promise<void> {
  const { testbed } = context;
  delete context.testbed;
  await testbed?.stop();
}

interface Running {
  workload: Workload;
  endpoint: Endpoint;
  facts: WarmUpFacts;
}

async function startWarm({ testbed, deadlineMs }: World, name: (typeof NAMES)[number]): Promise<Running> {
  const workload = WORKLOADS[name];
  const size = workload.smallSize;
  const { ports } = await testbed.plane.containers.create({
    name,
    guest: 'origin',
    image: workload.image,
    env: [...workload.containerEnv(size), COMPARABLE_ENV],
    ports: [{ containerPort: workload.containerPort }],
  });
  await testbed.plane.containers.start(name);
  const endpoint = { host: '127.0.0.1', port: ports[0]!.hostPort };
  await workload.waitReady(endpoint, deadlineMs);
  return { workload, endpoint, facts: await workload.warmUp(endpoint, size, { deadlineMs }) };
}

/** Requests one after the other for as long as `work` takes; checkpoints break connections. */
async function underLoad<T>({ deadlineMs }: World, running: Running, work: () => Promise<T>): Promise<T> {
  const { workload, endpoint, facts } = running;
  let over = false;
  let answered = 0;
  const load = (async () => {
    for (let round = 0; !over; round++) {
      answered += await workload.firstRequest(endpoint, facts, { deadlineMs, round }).then(
        () => 1,
        () => 0,
      );
    }
  })();
  try {
    return await work();
  } finally {
    over = true;
    await load;
    assert.ok(answered > 0, 'it answered meanwhile');
  }
}

/** Its program stands still, but no checkpoint has to be over for that. */
async function stopProgram({ testbed, deadlineMs }: World, name: string): Promise<void> {
  await testbed.plane.containers.kill(name, 'SIGSTOP');
  let before = -1;
  await pollUntil(
    async () => {
      const { cpuUsageUs } = await testbed.plane.containers.stats(name);
      const stands = cpuUsageUs === before;
      before = cpuUsageUs;
      return stands ? true : undefined;
    },
    { timeoutMs: deadlineMs, intervalMs: 200, what: `${name} stands still` },
  );
}

const receivedBytes = (view: CheckpointView) =>
  view
    .transfers!.filter(({ preDump }) => !preDump)
    .reduce((sum, transfer) => sum + transfer.receivedBytes, 0);

for (const name of NAMES) {
  test(`of ${name} only what has changed crosses while it stands still, and the chain's end restores without its beginning`, async (world) => {
    const { plane } = world.testbed;
    const running = await startWarm(world, name);
    const take = (id: string, more: { parent?: string; preDumpRounds?: number } = {}) =>
      plane.checkpoints.create({ container: name, id: `${name}-${id}`, after: 'resume', ...more });

    const first = await underLoad(world, running, () => take('first', { preDumpRounds: 2 }));
    const second = await underLoad(world, running, () => take('second', { parent: `${name}-first` }));
    await running.workload.firstRequest(running.endpoint, running.facts, { deadlineMs: world.deadlineMs });
    await stopProgram(world, name);
    const last = await take('last', { parent: `${name}-second` });
    const whole = await take('whole');
    await plane.containers.remove(name, { force: true });

    for (const view of [first, second, last, whole]) report(view);
    assert.equal(
      first.transfers!.map(({ preDump }) => preDump),
      [true, true, false],
    );
    for (const view of [first, second, last]) {
      assert.ok(receivedBytes(view) < receivedBytes(whole) / 2, `${view.id}: ${receivedBytes(view)} bytes`);
      assert.ok(view.inheritedPageCount > view.pageCount / 2, view.id);
    }
    assert.is(last.parent, `${name}-second`);
    assert.is(last.pageCount, whole.pageCount);
    await plane.checkpoints.remove(`${name}-first`);
    await plane.checkpoints.remove(`${name}-second`);
    await assertRestores(world, running, `${name}-last`);
  });
}

function report({ id, pageCount, inheritedPageCount, frozenMs, transfers }: CheckpointView): void {
  console.log(JSON.stringify({ id, pageCount, inheritedPageCount, frozenMs, transfers }));
}

/** Restores into the other guest: held and compared byte for byte, then running. */
async function assertRestores(world: World, running: Running, checkpoint: string): Promise<void> {
  const { plane } = world.testbed;
  const { deadlineMs } = world;
  const request = { checkpoint, guest: 'target', name: 'again', policy: 'lazy' } as const;
  const complete = (id: string) =>
    pollUntil(async () => ((await plane.restores.inspect(id)).phase === 'complete' ? true : undefined), {
      timeoutMs: deadlineMs,
      intervalMs: 50,
      what: `all pages of ${id}`,
    });
  const held = await plane.restores.create({ ...request, hold: true });
  await complete(held.id);
  const { memory } = await plane.restores.compareMemory(held.id);
  assert.ok(memory!.pages > 0);
  assert.is(memory!.equal, memory!.pages, 'held restore');
  await plane.containers.remove('again', { force: true });

  const restored = await plane.restores.create(request);
  await complete(restored.id);
  // It was stopped when it was checkpointed.
  await plane.containers.kill('again', 'SIGCONT');
  const { ports } = await plane.containers.inspect('again');
  const endpoint = { host: '127.0.0.1', port: ports[0]!.hostPort };
  await running.workload.verifyAll(endpoint, running.facts, { deadlineMs });
  const view = await plane.restores.compareMemory(restored.id);
  assert.is(view.pagesVerified, true);
  assert.is(view.memory!.changed, view.memory!.softDirtyChanged);
  await plane.containers.remove('again', { force: true });
}

test('a parent that the container has not run on from is refused, and it runs on', async (world) => {
  const { plane } = world.testbed;
  await startWarm(world, 'redis');
  const on = async (parent: string) => {
    const request = { container: 'redis', id: 'refused', after: 'resume', parent } as const;
    const { code, message } = await rejection(plane.checkpoints.create(request));
    return `${code}: ${message}`;
  };
  assert.match(
    await on('redis-first'),
    /^not_found: .* on top of redis-first: .*: no checkpoint redis-first$/,
  );
  assert.match(await on('redis-last'), /^invalid_state: .* its changes are tracked since no checkpoint$/);
  assert.is((await plane.containers.inspect('redis')).phase, 'running');
});

test('after it has begun another program everything of it is sent again', async (world) => {
  const { plane } = world.testbed;
  const workload = WORKLOADS.redis;
  const program = 'trap "exec redis-server --save \'\' --protected-mode no" USR1; while :; do sleep 1; done';
  const { ports } = await plane.containers.create({
    name: 'shell',
    guest: 'target',
    image: 'redis',
    entrypoint: ['sh', '-c', program],
    ports: [{ containerPort: workload.containerPort }],
  });
  await plane.containers.start('shell');
  const take = (id: string, parent?: string) =>
    plane.checkpoints.create({
      container: 'shell',
      id,
      after: 'resume',
      ...(parent === undefined ? {} : { parent }),
    });
  await take('shell');
  assert.ok((await take('shell-again', 'shell')).inheritedPageCount > 0);
  await plane.containers.kill('shell', 'SIGUSR1');
  const endpoint = { host: '127.0.0.1', port: ports[0]!.hostPort };
  await workload.waitReady(endpoint, world.deadlineMs);
  assert.is((await take('other-program', 'shell-again')).inheritedPageCount, 0);
  await workload.waitReady(endpoint, world.deadlineMs);
  assert.ok((await take('other-again', 'other-program')).inheritedPageCount > 0);
});

test('the end of each chain is byte for byte what the whole checkpoint is', async (context) => {
  await stopTestbed(context);
  const store = await openPageStore({ directory: context.storeDirectory });
  try {
    const ids = (await store.list()).map(({ id }) => id);
    assert.ok(!ids.includes('redis-first') && !ids.includes('node-second'));
    for (const name of NAMES) await assertSamePages(store, `${name}-last`, `${name}-whole`);
  } finally {
    await store.close();
  }
});

async function assertSamePages(store: PageStore, id: string, expectedId: string): Promise<void> {
  const [found, expected] = [await store.open(id), await store.open(expectedId)];
  assert.equal(found.targets(), expected.targets());
  assert.is(found.manifest.pageCount, expected.manifest.pageCount);
  for (const { kind, id: owner, vaddr, pageCount } of expected.segments()) {
    const [a, b] = await Promise.all(
      [found, expected].map((reader) => reader.readPages({ kind, id: owner }, vaddr, pageCount)),
    );
    assert.ok(a!.equals(b!), `${id}: ${kind} ${owner}, ${pageCount} pages at 0x${vaddr.toString(16)}`);
  }
  await Promise.all([found.close(), expected.close()]);
}

test.run();
