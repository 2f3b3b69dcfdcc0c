import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { duplexPair } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import tar from 'tar-stream';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { RestoreRequest as AgentRequest } from '../../../interconnect/agent-api.ts';
import { FrameType, PageFlag } from '../../../interconnect/page-protocol.ts';
import { restoreInstead } from '../../../offload-plane/containers/restore-instead.ts';
import { createMetrics } from '../../../offload-plane/metrics.ts';
import { openAnswers } from '../../../offload-plane/operations/answers.ts';
import { createOperations } from '../../../offload-plane/operations/operations.ts';
import { saveOrderLog } from '../../../offload-plane/order-log/load.ts';
import { openUnfinishedRecordings } from '../../../offload-plane/order-log/unfinished.ts';
import type { PageSession, Policy } from '../../../offload-plane/page-server/contract.ts';
import { createPageServer } from '../../../offload-plane/page-server/server.ts';
import { memoryIndex } from '../../../offload-plane/restores/memory-index.ts';
import {
  createRestores,
  DEFAULT_POLICY,
  type RestoreRequest,
  type RestoresDeps,
} from '../../../offload-plane/restores/restores.ts';
import { OffloadError } from '../../../platform/errors.ts';
import { fakeGuest, guestsOf } from '../../helpers/fake-guest.ts';
import { containersOver, FIRST_ID, RECIPE, silentLogger } from '../../helpers/plane-parts.ts';
import { rejection } from '../../helpers/rejection.ts';
import { openState } from '../../helpers/state.ts';
import { until } from '../../helpers/until.ts';
import { FakePager } from '../page-server/fake-pager.ts';
import { HEAP, HEAP_PAGES, makeStore, PAGE, writeCheckpoint, ZERO_PAGES } from '../page-store/fixture.ts';

const TIMINGS = { preparedMs: 1, pagerReadyMs: 2, runningMs: 3 };
const POLICIES: Policy[] = ['eager', 'lazy', 'ordered', 'prefill'];
/** data, heap, the other task's heap and shared memory, zero pages left out */
const TOTAL_PAGES = 3 + HEAP_PAGES - ZERO_PAGES + 2 + 2;
/** What CRIU installs under `lazy`: data (its zero page too) and shared memory */
const FILE_PAGES = 4 + 2;
const REQUEST = { checkpoint: 'warm', guest: 'guest-a', name: 'web' };
const at = (page: number) => HEAP + BigInt(page * PAGE);

type World = Awaited<ReturnType<typeof makeWorld>>;

/** Restores over a real store, page server and containers; the guest's agent and pager are the test's. */
async function withRestores(body: (world: World) => Promise<void>): Promise<void> {
  const world = await makeWorld();
  try {
    await body(world);
  } finally {
    world.containers.close();
    await world.pageServer.close();
    await world.remove();
  }
}

async function makeWorld() {
  const fixture = await makeStore();
  await writeCheckpoint(fixture.store, 'warm', {}, { guest: 'guest-b', recipe: RECIPE });
  const guest = fakeGuest();
  const pageServer = createPageServer();
  const sessions: PageSession[] = [];
  const metrics = createMetrics();
  const pagers: FakePager[] = [];
  const asked: AgentRequest[] = [];
  const images: string[][] = [];
  const state = openState();
  const { database } = state;
  const containers = containersOver(state, guest);
  const deps: RestoresDeps = {
    database,
    answers: openAnswers(database, () => Date.now()),
    operations: createOperations({ database, nowMs: () => Date.now(), randomBytes }),
    store: fixture.store,
    pageServer: {
      ...pageServer,
      openSession(options) {
        const session = pageServer.openSession(options);
        sessions.push(session);
        return session;
      },
    } as typeof pageServer,
    containers,
    recordings: openUnfinishedRecordings(join(fixture.directory, 'recordings')),
    guests: guestsOf(guest),
    metrics,
    logger: silentLogger,
    nowMs: () => performance.now(),
    wallMs: () => Date.now(),
    randomBytes,
    deadlineMs: 5_000,
    faultsDryUpMs: 60_000,
    recordGraceMs: 10,
  };
  const restores = createRestores(deps);
  guest.onUpload(async (_call, body) => {
    const names: string[] = [];
    const extract = tar.extract();
    extract.on('entry', ({ name }, entry, next) => {
      names.push(name);
      entry.on('error', next).on('end', next).resume();
    });
    await pipeline(body, extract);
    images.push(names);
    return {};
  });
  guest.on('restoreContainer', async (body: AgentRequest) => {
    asked.push(body);
    const pager = new FakePager(pageServer, 'guest-a');
    pagers.push(pager);
    pager.hello(body.token);
    pager.credit(1024);
    await pager.frame(FrameType.FILES_END);
    if (body.lazyPages) pager.restored();
    return TIMINGS;
  });

  /** Every page arrives, the pager says so, and the restore is complete. */
  async function complete(id: string): Promise<void> {
    sessions.at(-1)?.startFill();
    const pager = pagers.at(-1)!;
    await pager.frame(FrameType.END);
    pager.done();
    await until('a complete restore', () => restores.get(id).phase === 'complete');
  }

  /** The agent heard of the container's end, no container is left and nobody reads the checkpoint. */
  async function assertNothingLeft(): Promise<void> {
    assert.equal(containers.list(), []);
    assert.is(pageServer.sessionCount, 0);
    await fixture.store.remove('warm');
  }

  return {
    ...{ ...fixture, guest, containers, pageServer, sessions, metrics, pagers, asked, images },
    ...{ restores, complete, assertNothingLeft, state },
    /** As the next plane finds them. */
    reopened: () => createRestores(deps),
    create: (request: Partial<RestoreRequest> = {}) => restores.create({ ...REQUEST, ...request }),
    async writeOrder(...pageNumbers: number[]): Promise<void> {
      const reader = await fixture.store.open('warm');
      await saveOrderLog(
        reader,
        pageNumbers.map((page, timeUs) => ({ task: 42, vaddr: at(page), timeUs })),
      );
      await reader.close();
    },
  };
}

test('under every policy the container runs and every page arrives once and verified', async () => {
  for (const policy of POLICIES) {
    await withRestores(
      async ({ create, complete, writeOrder, asked, sessions, restores, containers, ...world }) => {
        await writeOrder(7, 250, 8);
        const view = await create({ policy });
        assert.is(view.phase, 'running');
        assert.is(view.effectivePolicy, policy);
        assert.equal(view.timings, TIMINGS);
        assert.is(view.totalPageCount, TOTAL_PAGES);
        assert.is(containers.get('web').phase, 'running');
        assert.is(asked[0]?.lazyPages, policy !== 'eager');
        await complete(view.id);
        const done = restores.get(view.id);
        assert.is(done.pagesVerified, true);
        assert.ok(done.completeMs! > 0);
        assert.is(done.pushedPageCount, policy === 'ordered' ? 3 : 0);
        const counters = world.pagers[0]!.counters;
        assert.is(counters.duplicates, 0);
        assert.is(world.pagers[0]!.map.length === 0, policy === 'eager');
        assert.equal(sessions[0]?.policy, policy);
      },
    );
  }
});

test("the agent gets the container as the plane has it, the session's token and less time than the plane", async () => {
  await withRestores(async ({ create, asked, sessions, images, guest }) => {
    Object.assign(guest, { deadlineScale: 2 });
    await create({ name: 'again', policy: 'lazy' });
    const { deadlineMs, ...request } = asked[0]!;
    assert.equal(request, {
      spec: { ...RECIPE.spec, id: FIRST_ID, rootfsLun: 1 },
      token: sessions[0]?.token,
      lazyPages: true,
      hold: false,
    });
    assert.ok(deadlineMs > 5_000 && deadlineMs < 10_000);
    assert.ok(images[0]?.includes('images/core-42.img'));
    assert.ok(images[0]?.includes('images/pagemap-42.img'));
  });
});

test('without an order log ordered and prefill are lazy and say so; the default policy is one of all', async () => {
  for (const policy of ['ordered', 'prefill', undefined] as const) {
    await withRestores(async ({ create }) => {
      const view = await create(policy ? { policy } : {});
      assert.is(view.policy, policy ?? DEFAULT_POLICY);
      assert.is(view.effectivePolicy, 'lazy');
    });
  }
});

test('the first restore records the order of faults, the next uses it, and one that is asked to records anew', async () => {
  await withRestores(async ({ create, complete, pagers, sessions, restores, containers, metrics, store }) => {
    const first = await create({ policy: 'ordered' });
    assert.is(sessions[0]?.recording.phase, 'recording');
    for (const page of [30, 31, 9]) pagers[0]!.fault(42, at(page));
    await until('the answers', () => pagers[0]!.pages.size === 3);
    await sessions[0]!.markFirstResponse();
    await until('the log', () => sessions[0]?.recording.phase === 'written');
    await complete(first.id);
    assert.is(restores.get(first.id).recordedFaultCount, 3);
    assert.is(restores.get(first.id).faultCount, 3);
    const { marks, samples, ended } = restores.timeline(first.id).view();
    assert.equal(
      marks.map(({ mark }) => mark),
      ['connected', 'restored', 'running', 'complete'],
    );
    assert.equal([ended, samples.at(-1)?.faultCount, samples.at(-1)?.demandedPageCount], [true, 3, 3]);
    assert.is(samples.at(-1)!.filledPageCount + samples.at(-1)!.filePageCount + 3, TOTAL_PAGES + 1);
    await containers.remove('web', { force: true });

    const second = await create({ policy: 'ordered' });
    assert.is(second.effectivePolicy, 'ordered');
    assert.is(sessions[1]?.recording.phase, 'off');
    await complete(second.id);
    assert.is(pagers[1]!.arrivals.filter(({ flags }) => flags === PageFlag.PUSH).length > 0, true);
    await containers.remove('web', { force: true });

    await create({ policy: 'lazy', record: true });
    assert.is(sessions[2]?.recording.phase, 'recording');
    assert.match(await metrics.text(), /^offload_restore_demand_faults_total\{policy="ordered"\} 3$/m);
    assert.ok((await store.list()).length === 1);
  });
});

test('a restore is cancelled while its images are sent and while the agent is at it, and leaves nothing', async () => {
  for (const stage of ['images', 'agent'] as const) {
    await withRestores(async ({ restores, guest, assertNothingLeft }) => {
      const cancelling = new AbortController();
      const cutOff = Promise.withResolvers<never>();
      if (stage === 'images') guest.onUpload(() => cancelling.abort());
      guest.on('restoreContainer', () => {
        cancelling.abort();
        return cutOff.promise;
      });
      guest.on('deleteContainer', () => cutOff.reject(new OffloadError('runtime_failed', 'cut off')));
      cutOff.promise.catch(() => undefined);
      const error = await rejection(restores.create(REQUEST, { signal: cancelling.signal }));
      assert.is(error.code, 'cancelled', error.message);
      assert.is(restores.list().at(-1)?.phase, 'failed');
      assert.is(guest.calls.includes(`restoreContainer ${FIRST_ID}`), stage === 'agent');
      assert.ok(guest.calls.includes(`deleteContainer ${FIRST_ID}`));
      await assertNothingLeft();
    });
  }
});

test('what a restore was and how its pages came outlives the plane, a late first response too', async () => {
  await withRestores(async ({ create, complete, restores, containers, reopened, state, guest }) => {
    const { id } = await create({ policy: 'eager' });
    await complete(id);
    containers.get('web').onFirstResponse!();
    await until('the first response', () => reopened().get(id).firstResponseMs !== undefined);
    const next = reopened();
    assert.equal(next.get(id), restores.get(id));
    assert.equal(next.timeline(id).view(), restores.timeline(id).view());
    assert.is(next.timeline(id).view().marks.at(-1)?.mark, 'firstResponse');
    const known = containersOver(state, guest).get('web');
    assert.equal(known.restoredFrom, { checkpoint: 'warm', container: 'web' });
  });
});

test('an order log that is damaged is ignored, counted, and recorded anew', async () => {
  await withRestores(async ({ create, directory, sessions, metrics }) => {
    writeFileSync(join(directory, 'checkpoints', 'warm', 'order'), 'not an order log');
    const view = await create({ policy: 'ordered' });
    assert.is(view.effectivePolicy, 'lazy');
    assert.is(sessions[0]?.recording.phase, 'recording');
    assert.match(await metrics.text(), /^offload_order_logs_ignored_total\{reason="[a-z_]+"\} 1$/m);
  });
});

test('an unknown checkpoint, guest or restore is not found, and no container is left', async () => {
  await withRestores(async ({ create, restores, guest, assertNothingLeft }) => {
    assert.is((await rejection(create({ checkpoint: 'none' }))).code, 'not_found');
    const error = await rejection(create({ guest: 'none' }));
    assert.is(error.message, 'guest none: there is none of this name');
    assert.throws(() => restores.get('none'), /^restore none: there is none of this id$/);
    assert.is((await rejection(restores.compareMemory('none'))).code, 'not_found');
    assert.equal(restores.list(), []);
    assert.equal(guest.calls, []);
    await assertNothingLeft();
  });
});

test('a lost guest, a taken name and a taken address are refused before anything is sent', async () => {
  await withRestores(async ({ create, containers, guest, restores, store }) => {
    await containers.admit({ name: 'web', guest, recipe: RECIPE, ports: [], phase: 'created' });
    assert.is((await rejection(create())).code, 'already_exists');
    const error = await rejection(create({ name: 'other', clone: false }));
    assert.is(error.code, 'invalid_state');
    assert.match(error.message, /has its address 10\.88\.0\.2\/16$/);
    guest.lost = true;
    assert.is(
      (await rejection(create({ name: 'other' }))).message,
      'restore checkpoint warm: guest guest-a is gone',
    );
    assert.equal(guest.calls, []);
    assert.equal(restores.list(), []);
    await store.remove('warm');
  });
});

test('one that takes the place of another in its own guest is no clone: it has its address, hostname and name', async () => {
  await withRestores(async ({ asked, containers, restores, guest }) => {
    const old = await containers.admit({ name: 'web', guest, recipe: RECIPE, ports: [], phase: 'created' });
    await containers.recorded(old, { verb: 'create' }, async () => {});
    await restoreInstead({ containers, restores }, old, { guest: 'guest-a', checkpoint: 'warm' });
    const [moved, ...others] = containers.records();
    assert.equal(others, []);
    assert.is.not(moved!.id, old.id);
    assert.equal([moved!.name, moved!.recipe.spec.address], ['web', '10.88.0.2/16']);
    assert.is(restores.list()[0]!.clone, false);
    assert.equal([asked[0]!.spec.hostname, asked[0]!.machineId], ['web', undefined]);
    const next = await containers.create({ name: 'next', guest: 'guest-a', image: 'redis' });
    assert.is.not(next.address, '10.88.0.2', 'still the moved one’s');
  });
});

test('a restore keeps the address; a clone has one of its own, and a hostname and a machine id', async () => {
  await withRestores(async ({ create, asked, containers }) => {
    assert.is((await create({ name: 'same' })).clone, false);
    assert.is(asked[0]!.machineId, undefined);
    assert.is((await create({ name: 'clone_1', clone: true })).clone, true);
    // Its address is taken by then, so nobody has to say so.
    assert.is((await create({ name: 'clone-2' })).clone, true);
    assert.equal(
      asked.map(({ spec }) => [spec.hostname, spec.address]),
      [
        ['web', '10.88.0.2/16'],
        ['clone-1', '10.88.0.3/16'],
        ['clone-2', '10.88.0.4/16'],
      ],
    );
    assert.match(asked[1]!.machineId!, /^[0-9a-f]{32}$/);
    assert.is.not(asked[1]!.machineId, asked[2]!.machineId);
    assert.equal(
      containers.list().map(({ address }) => address),
      ['10.88.0.2', '10.88.0.3', '10.88.0.4'],
    );
  });
});

test('a clone whose name is taken leaves its address to others', async () => {
  await withRestores(async ({ create, asked }) => {
    await create({ name: 'web' });
    assert.is((await rejection(create({ name: 'web', clone: true }))).code, 'already_exists');
    await create({ name: 'other', clone: true });
    assert.is.not(asked[1]!.spec.address, asked[0]!.spec.address);
  });
});

test('a checkpoint that names no container cannot be restored', async () => {
  await withRestores(async ({ create, store }) => {
    await writeCheckpoint(store, 'foreign');
    assert.is((await rejection(create({ checkpoint: 'foreign' }))).code, 'incomplete_checkpoint');
    await store.remove('foreign');
  });
});

test('whatever the agent refuses, the container is removed and the restore says why', async () => {
  const no = () => {
    throw new OffloadError('runtime_failed', 'restore container web: CRIU: no');
  };
  for (const spoil of [
    (guest: World['guest']) => guest.on('restoreContainer', no),
    (guest: World['guest']) => guest.onUpload(no),
    (guest: World['guest']) => Object.assign(guest.disks, { hold: async () => no() }),
  ]) {
    await withRestores(async ({ create, guest, restores, metrics, assertNothingLeft }) => {
      spoil(guest);
      const error = await rejection(create({ ports: [{ containerPort: 80 }] }));
      assert.is(error.code, 'runtime_failed');
      assert.is(guest.calls.at(-1), `deleteContainer ${FIRST_ID}`);
      const [view] = restores.list();
      assert.is(view?.phase, 'failed');
      assert.equal(view?.error, { code: 'runtime_failed', message: 'restore container web: CRIU: no' });
      assert.match(await metrics.text(), /^offload_restore_failures_total\{policy="ordered"\} 1$/m);
      await assertNothingLeft();
    });
  }
});

test('an image that is gone fails the restore and leaves nothing', async () => {
  await withRestores(async ({ create, store }) => {
    const recipe = { ...RECIPE, imageDigest: 'sha256:2' };
    await writeCheckpoint(store, 'old', {}, { guest: 'guest-a', recipe });
    const error = await rejection(create({ checkpoint: 'old' }));
    assert.is(error.code, 'not_found');
    await store.remove('old');
  });
});

test('a pager that fails after the container runs takes the container with it', async () => {
  await withRestores(async ({ create, pagers, restores, guest, assertNothingLeft }) => {
    const { id } = await create({ policy: 'lazy' });
    pagers[0]!.send({ type: FrameType.ERROR }, Buffer.from('no memory for a page'));
    await until('a failed restore', () => restores.get(id).phase === 'failed');
    assert.match(restores.get(id).error!.message, /no memory for a page/);
    await until('the end', () => guest.calls.includes(`deleteContainer ${FIRST_ID}`));
    await until('its removal', () => pagers[0]!.closed);
    await assertNothingLeft();
  });
});

test('a pager that fails before the agent has answered is the reason that is given', async () => {
  await withRestores(async ({ create, pageServer, guest, restores, assertNothingLeft }) => {
    guest.on('restoreContainer', async ({ token }: AgentRequest) => {
      const pager = new FakePager(pageServer, 'guest-a');
      pager.hello(token);
      pager.send({ type: FrameType.ERROR }, Buffer.from('no memory for a page'));
      await until('a failed restore', () => restores.list()[0]?.phase === 'failed');
      throw new OffloadError('runtime_failed', 'restore container web: cut off');
    });
    assert.match((await rejection(create({ policy: 'lazy' }))).message, /no memory for a page/);
    await assertNothingLeft();
  });
});

test('a guest that is lost fails what is restored there, and says so', async () => {
  await withRestores(async ({ create, guest, restores, assertNothingLeft }) => {
    guest.on('restoreContainer', () => {
      guest.lost = true;
      restores.onGuestLost('guest-b');
      restores.onGuestLost('guest-a');
      throw new OffloadError('runtime_failed', 'restore container web: cut off');
    });
    const error = await rejection(create());
    assert.is(error.code, 'guest_lost');
    assert.is(error.message, 'restore container web: guest guest-a is gone');
    await assertNothingLeft();
  });
});

test('a container that ends while pages are missing closes its session; the word of another guest does not', async () => {
  await withRestores(async ({ create, sessions, restores, pagers, assertNothingLeft }) => {
    const { id } = await create({ policy: 'lazy' });
    await restores.onContainerGone(FIRST_ID, 'guest-b');
    assert.is(sessions[0]?.state.phase, 'connected');
    await restores.onContainerGone(FIRST_ID, 'guest-a');
    await until('a failed restore', () => restores.get(id).phase === 'failed');
    assert.match(restores.get(id).error!.message, /the container is gone/);
    await pagers[0]!.frame(FrameType.ABORT);
    await until('its end', () => sessions[0]?.state.phase === 'failed');
    await assertNothingLeft();
  });
});

test('a complete restore keeps its figures when its container ends, and lets go of the checkpoint', async () => {
  await withRestores(async ({ create, complete, restores, store }) => {
    const { id } = await create({ policy: 'lazy' });
    await complete(id);
    assert.is((await rejection(store.remove('warm'))).code, 'invalid_state');
    await restores.onContainerGone(FIRST_ID, 'guest-a');
    assert.is(restores.get(id).phase, 'complete');
    assert.is(restores.get(id).totalPageCount, TOTAL_PAGES);
    await store.remove('warm');
  });
});

test('a restore that is held leaves the container paused', async () => {
  await withRestores(async ({ create, asked, containers }) => {
    await create({ hold: true });
    assert.is(asked[0]?.hold, true);
    assert.is(containers.get('web').phase, 'paused');
  });
});

test('all pages of a container that is held come at once, and nothing is recorded of it unless asked for', async () => {
  await withRestores(async ({ create, sessions, pagers, restores }) => {
    const { id } = await create({ hold: true, policy: 'lazy' });
    assert.is(sessions[0]?.recording.phase, 'off');
    await pagers[0]!.frame(FrameType.END);
    pagers[0]!.done();
    await until('a complete restore', () => restores.get(id).phase === 'complete');
    await create({ name: 'recorded', hold: true, policy: 'lazy', record: true });
    assert.equal(sessions[1]?.recording, { phase: 'recording', entryCount: 0 });
    assert.equal(sessions[1]?.state, { phase: 'connected', restored: true, filling: false });
  });
});

test("the ports are those asked for or else the checkpoint's, and the first answer on one is noted", async () => {
  await withRestores(async ({ create, complete, restores, containers, store, guest, metrics }) => {
    const recipe = { ...RECIPE, containerPorts: [80], spec: { ...RECIPE.spec, address: '10.88.0.9/16' } };
    await writeCheckpoint(store, 'served', {}, { guest: 'guest-a', recipe });
    guest.onStream(() => {
      const [near, far] = duplexPair();
      far.end('ready');
      return near;
    });
    const { id } = await create({ checkpoint: 'served', policy: 'lazy' });
    const { hostPort } = containers.get('web').forwards[0]!;
    const client = connect({ port: hostPort, host: '127.0.0.1' });
    assert.is(String(await buffer(client)), 'ready');
    await until('the mark', () => restores.get(id).firstResponseMs !== undefined);
    assert.is(restores.get(id).pageCountAtResponse, FILE_PAGES);
    assert.match(await metrics.text(), /^offload_restore_first_response_seconds_count\{policy="lazy"\} 1$/m);
    await complete(id);
  });
});

test('memory is compared once the restore is complete, and the answer is kept', async () => {
  await withRestores(async ({ create, complete, restores, guest, store }) => {
    const { id } = await create({ policy: 'lazy' });
    const early = await rejection(restores.compareMemory(id));
    assert.is(early.code, 'invalid_state');
    assert.is(early.message, `compare memory of restore ${id}: it is running, not complete`);
    await complete(id);
    const answer = {
      ...{ pages: 306, equal: 300, changed: 6, softDirtyChanged: 6, unmapped: 0, zeroed: 0 },
      firstChanged: null,
    };
    const reader = await store.open('warm');
    guest.onUpload(async ({ path }, body) => {
      assert.is(path, `/v1/containers/${FIRST_ID}/memory-comparison`);
      assert.ok((await buffer(body)).equals(await buffer(memoryIndex(reader))));
      return answer;
    });
    assert.equal((await restores.compareMemory(id)).memory, answer);
    assert.equal(restores.get(id).memory, answer);
    guest.onUpload(async (_call, body) => {
      body.resume();
      return { ...answer, pages: 'all' };
    });
    const error = await rejection(restores.compareMemory(id));
    assert.is(error.code, 'guest_lost');
    assert.match(error.message, /an answer outside the schema$/);
    await reader.close();
  });
});

test.run();
