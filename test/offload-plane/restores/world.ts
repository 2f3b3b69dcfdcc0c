/** Restores over a real store, page server and containers; the guest's agent and pager are the test's. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import tar from 'tar-stream';
import * as assert from 'uvu/assert';
import type { RestoreRequest as AgentRequest } from '../../../interconnect/agent-api.ts';
import { FrameType } from '../../../interconnect/page-protocol.ts';
import { createMetrics } from '../../../offload-plane/metrics.ts';
import { openAnswers } from '../../../offload-plane/operations/answers.ts';
import { createOperations } from '../../../offload-plane/operations/operations.ts';
import { saveOrderLog } from '../../../offload-plane/order-log/load.ts';
import { openUnfinishedRecordings } from '../../../offload-plane/order-log/unfinished.ts';
import type { PageSession } from '../../../offload-plane/page-server/contract.ts';
import { createPageServer } from '../../../offload-plane/page-server/server.ts';
import {
  createRestores,
  type RestoreRequest,
  type RestoresDeps,
} from '../../../offload-plane/restores/restores.ts';
import { fakeGuest, guestsOf } from '../../helpers/fake-guest.ts';
import { containersOver, DEADLINE_MS, RECIPE, silentLogger } from '../../helpers/plane-parts.ts';
import { openState } from '../../helpers/state.ts';
import { until } from '../../helpers/until.ts';
import { FakePager } from '../page-server/fake-pager.ts';
import { HEAP, HEAP_PAGES, makeStore, PAGE, writeCheckpoint, ZERO_PAGES } from '../page-store/fixture.ts';

const TIMINGS = { preparedMs: 1, pagerReadyMs: 2, runningMs: 3 };
export const REQUEST = { checkpoint: 'warm', guest: 'guest-a', name: 'web' };
/** data, heap, the other task's heap and shared memory, zero pages left out */
export const TOTAL_PAGES = 3 + HEAP_PAGES - ZERO_PAGES + 2 + 2;
/** What CRIU installs under `lazy`: data (its zero page too) and shared memory */
export const FILE_PAGES = 4 + 2;
export const at = (page: number) => HEAP + BigInt(page * PAGE);

export type World = Awaited<ReturnType<typeof makeWorld>>;

/** @param lastWordMs how long a pager may say nothing after the end of its container */
export async function withRestores(
  body: (world: World) => Promise<void>,
  { lastWordMs = DEADLINE_MS } = {},
): Promise<void> {
  const world = await makeWorld(lastWordMs);
  try {
    await body(world);
  } finally {
    world.containers.close();
    await world.pageServer.close();
    await world.remove();
  }
}

async function makeWorld(lastWordMs: number) {
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
    deadlineMs: DEADLINE_MS,
    faultsDryUpMs: 60_000,
    recordGraceMs: 10,
    lastWordMs,
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
