/**
 * Checkpoints that bring only what has changed. A chain is taken of a container that works all the while:
 * one with pre-dumps, one on top of it, and a last one on top of that while the container's program is
 * stopped. A whole checkpoint of the program that has not moved says what the last one has to hold.
 */
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import type { CheckpointView } from '../../offload-plane/checkpoints/checkpoints.ts';
import type { PageStore } from '../../offload-plane/page-store/contract.ts';
import { openPageStore } from '../../offload-plane/page-store/store.ts';
import { pollUntil } from '../../platform/deadline.ts';
import { WORKLOADS } from '../../testbed/workloads/workloads.ts';
import { rejection } from '../helpers/rejection.ts';
import { suite } from '../helpers/suite.ts';
import { tempDirectory } from '../helpers/temp-directory.ts';
import { type TwoGuests, takeTwoGuests } from '../helpers/two-guests.ts';
import { until } from '../helpers/until.ts';
import {
  completed,
  deadlineOf,
  endpointOf,
  startWarm,
  type WarmContainer,
} from '../helpers/warm-container.ts';

interface World {
  testbed: TwoGuests;
}

const test = suite<World>('incremental checkpoints');
/** Leaves an emulated processor time for the checkpoint. */
const LOAD_INTERVAL_MS = 100;
/** From request to request, so that one that takes long finds little more that has changed. */
const LOAD_INTERVAL_GROWTH = 1.1;
const LOAD_INTERVAL_MAX_MS = 1_500;
const NAMES = ['redis', 'node'] as const;
/** Without restartable sequences: the kernel writes a page a thread of them, held restore or not (rseq(2)). */
const COMPARABLE_ENV = 'GLIBC_TUNABLES=glibc.pthread.rseq=0';

test.before(async (context) => {
  context.testbed = await takeTwoGuests();
});
test.after(async ({ testbed }) => await testbed?.stop());

const startComparable = ({ testbed }: World, name: (typeof NAMES)[number]) =>
  startWarm(testbed, { name, guest: 'origin', image: name, env: [COMPARABLE_ENV] });

/** Requests from before `work` until after it, and answers at either end; checkpoints break connections. */
async function underLoad<T>(
  { testbed }: World,
  { workload, endpoint, facts }: WarmContainer,
  work: () => Promise<T>,
): Promise<T> {
  const deadlineMs = deadlineOf(testbed);
  let over = false;
  let answered = 0;
  const load = (async () => {
    for (let round = 0; !over; round++) {
      answered += await workload.firstRequest(endpoint, facts, { deadlineMs, round }).then(
        () => 1,
        () => 0,
      );
      await delay(Math.min(LOAD_INTERVAL_MS * LOAD_INTERVAL_GROWTH ** round, LOAD_INTERVAL_MAX_MS));
    }
  })();
  const answer = async (what: string) => {
    const before = answered;
    const wait = { timeoutMs: deadlineMs, intervalMs: 10, what };
    await pollUntil(() => answered > before || undefined, wait);
  };
  try {
    await answer('an answer before the checkpoint');
    const result = await work();
    await answer('an answer after the checkpoint');
    return result;
  } finally {
    over = true;
    await load;
  }
}

/** Its program stands still, but no checkpoint has to be over for that. */
async function stopProgram({ testbed }: World, name: string): Promise<void> {
  await testbed.plane.containers.kill(name, 'SIGSTOP');
  let before = -1;
  await pollUntil(
    async () => {
      const { cpuUsageUs } = await testbed.plane.containers.stats(name);
      const stands = cpuUsageUs === before;
      before = cpuUsageUs;
      return stands ? true : undefined;
    },
    { timeoutMs: deadlineOf(testbed), intervalMs: 200, what: `${name} stands still` },
  );
}

const receivedBytes = (view: CheckpointView) =>
  view
    .transfers!.filter(({ preDump }) => !preDump)
    .reduce((sum, transfer) => sum + transfer.receivedBytes, 0);

for (const name of NAMES) {
  test(`of ${name} only what has changed crosses while it stands still, and the chain's end restores without its beginning`, async (world) => {
    const { plane } = world.testbed;
    const running = await startComparable(world, name);
    const take = (id: string, more: { parent?: string; preDumpRounds?: number } = {}) =>
      plane.checkpoints.create({ container: name, id: `${name}-${id}`, after: 'resume', ...more });

    const first = await underLoad(world, running, () => take('first', { preDumpRounds: 2 }));
    const second = await underLoad(world, running, () => take('second', { parent: `${name}-first` }));
    await running.workload.firstRequest(running.endpoint, running.facts, {
      deadlineMs: deadlineOf(world.testbed),
    });
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
async function assertRestores({ testbed }: World, running: WarmContainer, checkpoint: string): Promise<void> {
  const { plane } = testbed;
  const request = { checkpoint, guest: 'target', name: 'again', policy: 'lazy' } as const;
  const held = await plane.restores.create({ ...request, hold: true });
  await completed(testbed, held.id);
  const { memory } = await plane.restores.compareMemory(held.id);
  assert.ok(memory!.pages > 0);
  assert.is(memory!.equal, memory!.pages, 'held restore');
  await plane.containers.remove('again', { force: true });

  const restored = await plane.restores.create({ ...request, record: false });
  // It was stopped when it was checkpointed.
  await plane.containers.kill('again', 'SIGCONT');
  const endpoint = await endpointOf(testbed, 'again');
  await running.workload.verifyAll(endpoint, running.facts, { deadlineMs: deadlineOf(testbed) });
  await completed(testbed, restored.id);
  const view = await plane.restores.compareMemory(restored.id);
  assert.is(view.memory!.changed, view.memory!.softDirtyChanged);
  await plane.containers.remove('again', { force: true });
}

test('a parent that the container has not run on from is refused, and it runs on', async (world) => {
  const { plane } = world.testbed;
  await startWarm(world.testbed, { name: 'redis', guest: 'origin', size: { dataMiB: 1 } });
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

test('after it has begun another program everything of it is sent again', async ({ testbed }) => {
  const { plane } = testbed;
  const workload = WORKLOADS.redis;
  const program =
    'trap "exec redis-server --save \'\' --protected-mode no" USR1; echo trapped; while :; do sleep 1; done';
  await plane.containers.create({
    name: 'shell',
    guest: 'target',
    image: 'redis',
    entrypoint: ['sh', '-c', program],
    ports: [{ containerPort: workload.containerPort }],
  });
  await plane.containers.start('shell');
  await until('the shell is ready', async () => /trapped/.test(await plane.containers.logs('shell')));
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
  const [endpoint, deadlineMs] = [await endpointOf(testbed, 'shell'), deadlineOf(testbed)];
  await workload.waitReady(endpoint, deadlineMs);
  assert.is((await take('other-program', 'shell-again')).inheritedPageCount, 0);
  await workload.waitReady(endpoint, deadlineMs);
  assert.ok((await take('other-again', 'other-program')).inheritedPageCount > 0);
});

test('the end of each chain is byte for byte what the whole checkpoint is', async ({ testbed }) => {
  // The plane holds its store: what is looked at is a copy.
  const directory = tempDirectory('incremental-store');
  const checkpoints = 'checkpoints';
  await cp(join(testbed.storeDirectory, checkpoints), join(directory, checkpoints), { recursive: true });
  const store = await openPageStore({ directory });
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
