/** Restores that a plane has left under way, and the next plane: over one state, one store and one guest. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { RestoreRequest as AgentRequest } from '../../../interconnect/agent-api.ts';
import { FrameType } from '../../../interconnect/page-protocol.ts';
import { createMetrics } from '../../../offload-plane/metrics.ts';
import { openAnswers } from '../../../offload-plane/operations/answers.ts';
import { createOperations } from '../../../offload-plane/operations/operations.ts';
import { openUnfinishedRecordings } from '../../../offload-plane/order-log/unfinished.ts';
import { createPageServer } from '../../../offload-plane/page-server/server.ts';
import type { PageStore } from '../../../offload-plane/page-store/contract.ts';
import { createRestores, type Restores } from '../../../offload-plane/restores/restores.ts';
import { fakeGuest, guestsOf } from '../../helpers/fake-guest.ts';
import { containersOver, DEADLINE_MS, FIRST_ID, RECIPE, silentLogger } from '../../helpers/plane-parts.ts';
import { openState } from '../../helpers/state.ts';
import { until } from '../../helpers/until.ts';
import { FakePager } from '../page-server/fake-pager.ts';
import { HEAP, makeStore, PAGE, writeCheckpoint } from '../page-store/fixture.ts';

export const TIMINGS = { preparedMs: 1, pagerReadyMs: 2, runningMs: 3 };
export const THERE = { id: FIRST_ID, phase: 'running', address: '10.88.0.2/16' };
export const at = (page: number) => HEAP + BigInt(page * PAGE);

export type World = Awaited<ReturnType<typeof makeWorld>>;

interface Plane {
  pageServer: ReturnType<typeof createPageServer>;
  containers: ReturnType<typeof containersOver>;
  restores: Restores;
  operations: ReturnType<typeof createOperations>;
}

async function makeWorld() {
  const fixture = await makeStore();
  const { store } = fixture;
  await writeCheckpoint(store, 'warm', {}, { guest: 'guest-b', recipe: RECIPE });
  const state = openState();
  const guest = fakeGuest();
  const answers = openAnswers(state.database, () => Date.now());
  const asked: AgentRequest[] = [];
  const alive = new Set<Plane>();

  guest.onUpload(async (_call, body) => {
    for await (const _ of body);
    return {};
  });

  /** One after the other, as processes would be. */
  async function startPlane(open = (id: string) => store.open(id)): Promise<Plane> {
    const pageServer = createPageServer();
    const operations = createOperations({
      database: state.database,
      nowMs: () => Date.now(),
      randomBytes,
    });
    let restores: Restores;
    const takeUpRestore = (...args: Parameters<Restores['takeUp']>) => restores.takeUp(...args);
    const containers = containersOver({ ...state, answers, operations, takeUpRestore }, guest);
    restores = createRestores({
      ...{ ...state, answers, operations, store: { open } as PageStore, pageServer, containers },
      ...{ guests: guestsOf(guest), metrics: createMetrics(), logger: silentLogger, randomBytes },
      recordings: openUnfinishedRecordings(join(fixture.directory, 'recordings')),
      nowMs: () => performance.now(),
      wallMs: () => Date.now(),
      ...{ deadlineMs: DEADLINE_MS, faultsDryUpMs: 60_000, recordGraceMs: 10, lastWordMs: DEADLINE_MS },
    });
    const plane = { pageServer, containers, restores, operations };
    alive.add(plane);
    await restores.reopenAll();
    operations.interruptRest();
    return plane;
  }

  const create = (plane: Plane, request = {}) =>
    plane.restores.create({ checkpoint: 'warm', guest: 'guest-a', name: 'web', policy: 'lazy', ...request });

  /** The guest's agent answers, its pager has map and files and is asked for one page. */
  function answerRestores(plane: Plane): FakePager[] {
    const pagers: FakePager[] = [];
    guest.on('restoreContainer', async (body: AgentRequest) => {
      asked.push(body);
      const pager = new FakePager(plane.pageServer, 'guest-a');
      pagers.push(pager);
      pager.hello(body.token);
      pager.credit(1_024);
      await pager.frame(FrameType.FILES_END);
      await pager.frame(FrameType.MAP_END);
      if (body.lazyPages) pager.restored();
      pager.fault(42, at(9));
      await pager.frame(FrameType.PAGES);
      return TIMINGS;
    });
    return pagers;
  }

  /** As far as anybody else sees it, it was killed. */
  async function kill(plane: Plane): Promise<void> {
    alive.delete(plane);
    plane.restores.close();
    void plane.operations.close();
    plane.containers.close();
    await plane.pageServer.close();
  }

  /** The pager dials the next plane. */
  function redial(plane: Plane, before: FakePager): FakePager {
    const pager = new FakePager(plane.pageServer, 'guest-a');
    pager.goesOnFrom(before);
    pager.resume(asked.at(-1)!.token, before.missing());
    pager.restored();
    pager.credit(1_024);
    return pager;
  }

  /** What the agent says of the container; by an error, that there is none. */
  function agentSays(inspect: () => object): void {
    guest.on('inspectContainer', inspect);
    guest.on('listContainers', () => {
      try {
        return [inspect()];
      } catch {
        return [];
      }
    });
  }

  return {
    ...fixture,
    agentSays,
    state,
    guest,
    asked,
    answers,
    startPlane,
    create,
    answerRestores,
    kill,
    redial,
    async remove(): Promise<void> {
      for (const plane of alive) await kill(plane);
      await fixture.remove();
    },
  };
}

export async function withWorld(body: (world: World) => Promise<void>): Promise<void> {
  const world = await makeWorld();
  try {
    await body(world);
  } finally {
    await world.remove();
  }
}

export const untilPhase = (restores: Restores, id: string, phase: string) =>
  until(`restore ${phase}`, () => restores.get(id).phase === phase);

/** The container answers its first request, every page arrives, and the pager says so. */
export async function completeThrough(plane: Plane, pager: FakePager, id: string): Promise<void> {
  plane.containers.get('web').onFirstResponse!();
  await pager.frame(FrameType.END);
  pager.done();
  await untilPhase(plane.restores, id, 'complete');
}
