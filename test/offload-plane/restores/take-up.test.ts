import { appendFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { RestoreRequest as AgentRequest } from '../../../interconnect/agent-api.ts';
import { FrameType, PageFlag } from '../../../interconnect/page-protocol.ts';
import { setPhase } from '../../../offload-plane/containers/container.ts';
import { loadOrderLog, saveOrderLog } from '../../../offload-plane/order-log/load.ts';
import type { OffloadError } from '../../../platform/errors.ts';
import { FIRST_ID, RECIPE } from '../../helpers/plane-parts.ts';
import { rejection } from '../../helpers/rejection.ts';
import { until } from '../../helpers/until.ts';
import { FakePager } from '../page-server/fake-pager.ts';
import { writeCheckpoint } from '../page-store/fixture.ts';
import { at, completeThrough, THERE, TIMINGS, untilPhase, withWorld } from './take-up-world.ts';

test('a restore outlives its plane, and the one after it: every page comes once, and is verified', async () => {
  await withWorld(async ({ startPlane, create, answerRestores, kill, redial, guest, store, agentSays }) => {
    const first = await startPlane();
    const pagers = answerRestores(first);
    const { id } = await create(first);
    await kill(first);
    agentSays(() => ({ ...THERE, pagesMissing: true }));
    const second = await startPlane();
    assert.is(second.restores.get(id).phase, 'running');
    const again = redial(second, pagers[0]!);
    await second.containers.adopt(guest);
    again.fault(42, at(30));
    await again.frame(FrameType.PAGES);
    await kill(second);

    const third = await startPlane();
    const last = redial(third, again);
    await third.containers.adopt(guest);
    assert.is(third.containers.get('web').phase, 'running');
    await third.restores.compareMemory(id).catch((error: OffloadError) => {
      assert.match(error.message, /it is running, not complete/);
    });
    const marks = () =>
      third.restores
        .timeline(id)
        .view()
        .marks.map(({ mark }) => mark);
    await until('the pager', () => marks().includes('restored'));
    // Its first response starts the rest.
    await completeThrough(third, last, id);
    const view = third.restores.get(id);
    assert.is(view.pagesVerified, true);
    assert.is(view.takeoverCount, 2);
    assert.equal(view.timings, TIMINGS);
    assert.is(view.faultCount, 2);
    assert.is(last.counters.duplicates, 0);
    assert.ok(view.firstResponseMs! > 0);
    assert.is(third.containers.isBusy(FIRST_ID), false);
    await kill(third);
    // Nothing of it is left to do.
    const fourth = await startPlane();
    assert.equal(fourth.restores.get(id), view);
    assert.is(fourth.pageServer.sessionCount, 0);
    await store.remove('warm').catch(() => {});
  });
});

test('memory of a restore that was complete before its plane ended is compared; where it cannot be, the answer says why', async () => {
  await withWorld(async ({ startPlane, create, answerRestores, kill, guest, agentSays, ...world }) => {
    const first = await startPlane();
    const pagers = answerRestores(first);
    const { id } = await create(first);
    await completeThrough(first, pagers[0]!, id);
    await kill(first);
    // The end of its process would have let go of the checkpoint.
    await first.restores.onContainerGone(FIRST_ID, 'guest-a');
    agentSays(() => THERE);
    const memory = {
      ...{ pages: 306, equal: 300, changed: 6, softDirtyChanged: 6, unmapped: 0, zeroed: 0 },
      firstChanged: null,
    };
    let comparedBytes = 0;
    guest.onUpload(async (_call, body) => {
      for await (const chunk of body) comparedBytes += chunk.length;
      return memory;
    });
    const second = await startPlane();
    await second.containers.adopt(guest);
    second.containers.rename('web', 'site');
    assert.equal((await second.restores.compareMemory(id)).memory, memory);
    assert.ok(comparedBytes > 0, 'the digests of its pages');
    assert.equal(second.restores.get(id).memory, memory);

    const why = async () => (await rejection(second.restores.compareMemory(id))).message;
    await world.store.remove('warm');
    assert.is(await why(), `compare memory of restore ${id}: checkpoint warm is gone`);
    await writeCheckpoint(world.store, 'warm', {}, { guest: 'guest-b', recipe: RECIPE });
    assert.is(await why(), `compare memory of restore ${id}: checkpoint warm has been made anew since`);
    setPhase(second.containers.get('site'), 'stopped', { exitCode: 0 });
    assert.match(await why(), /container site has ended since, and with it the memory that was restored$/);
    await second.containers.remove('site', { force: false });
    assert.is(await why(), `compare memory of restore ${id}: its container web is gone`);
    await kill(second);
    const third = await startPlane();
    assert.equal(third.restores.get(id).memory, memory);
    await kill(third);
  });
});

test('the next plane goes on with what a plane was recording: the order log has the faults of both, in their order', async () => {
  await withWorld(
    async ({ startPlane, create, answerRestores, kill, redial, guest, agentSays, ...world }) => {
      const reader = await world.store.open('warm');
      await saveOrderLog(reader, [{ task: 42, vaddr: at(7), timeUs: 1 }]);
      const first = await startPlane();
      const pagers = answerRestores(first);
      const { id } = await create(first, { record: true });
      await kill(first);
      agentSays(() => ({ ...THERE, pagesMissing: true }));
      const second = await startPlane();
      const again = redial(second, pagers[0]!);
      await second.containers.adopt(guest);
      again.fault(42, at(31));
      await again.frame(FrameType.PAGES);
      await completeThrough(second, again, id);
      assert.is(second.restores.get(id).recordedFaultCount, 2);
      const loaded = await loadOrderLog(reader);
      assert.ok('log' in loaded);
      assert.equal(
        loaded.log.entries.map(({ vaddr }) => vaddr),
        [at(9), at(31)],
      );
      await reader.close();
      await kill(second);
      assert.equal(readdirSync(join(world.directory, 'recordings')), []);
    },
  );
});

test('a recording that does not fit its checkpoint is given up, and the restore and the order log are as they were', async () => {
  await withWorld(
    async ({ startPlane, create, answerRestores, kill, redial, guest, agentSays, ...world }) => {
      const reader = await world.store.open('warm');
      await saveOrderLog(reader, [{ task: 42, vaddr: at(7), timeUs: 1 }]);
      const before = await reader.readOrderLog();
      const first = await startPlane();
      const pagers = answerRestores(first);
      const { id } = await create(first, { record: true });
      await kill(first);
      appendFileSync(join(world.directory, 'recordings', id), Buffer.alloc(24, 0xff));
      agentSays(() => ({ ...THERE, pagesMissing: true }));
      const second = await startPlane();
      assert.equal(readdirSync(join(world.directory, 'recordings')), []);
      const again = redial(second, pagers[0]!);
      await second.containers.adopt(guest);
      await completeThrough(second, again, id);
      assert.is(second.restores.get(id).recordedFaultCount, undefined);
      assert.is(second.restores.get(id).pagesVerified, true);
      assert.equal(await reader.readOrderLog(), before);
      await reader.close();
      await kill(second);
    },
  );
});

test('under ordered the next plane pushes what is left of the working set, and prefill keeps its plan', async () => {
  for (const policy of ['ordered', 'prefill'] as const) {
    await withWorld(async ({ startPlane, create, answerRestores, kill, redial, guest, store, agentSays }) => {
      const reader = await store.open('warm');
      await saveOrderLog(
        reader,
        [7, 250, 8].map((page) => ({ task: 42, vaddr: at(page), timeUs: page })),
      );
      await reader.close();
      const first = await startPlane();
      const pagers = answerRestores(first);
      const { id } = await create(first, { policy });
      await kill(first);
      pagers[0]!.pages.delete(`42:${at(250)}`);
      agentSays(() => ({ ...THERE, pagesMissing: true }));
      const second = await startPlane();
      const again = redial(second, pagers[0]!);
      await second.containers.adopt(guest);
      assert.is(second.restores.get(id).effectivePolicy, policy);
      if (policy === 'ordered') {
        await again.frame(FrameType.PAGES);
        assert.ok(again.arrivals.some(({ flags, vaddr }) => flags === PageFlag.PUSH && vaddr === at(250)));
      }
      await kill(second);
    });
  }
});

test('a prefill whose order log was replaced goes on, and says nothing of verification', async () => {
  await withWorld(async ({ startPlane, create, answerRestores, kill, redial, guest, store, agentSays }) => {
    const reader = await store.open('warm');
    await saveOrderLog(reader, [{ task: 42, vaddr: at(7), timeUs: 1 }]);
    const first = await startPlane();
    const pagers = answerRestores(first);
    const { id } = await create(first, { policy: 'prefill' });
    await saveOrderLog(reader, [{ task: 42, vaddr: at(8), timeUs: 1 }]);
    await reader.close();
    agentSays(() => ({ ...THERE, pagesMissing: true }));
    let plane = first;
    let pager = pagers[0]!;
    for (let kills = 0; kills < 2; kills += 1) {
      await kill(plane);
      plane = await startPlane();
      pager = redial(plane, pager);
      await plane.containers.adopt(guest);
    }
    await completeThrough(plane, pager, id);
    assert.is(plane.restores.get(id).pagesVerified, undefined);
    assert.is(plane.restores.get(id).effectivePolicy, 'prefill');
    assert.is(plane.containers.get('web').phase, 'running');
    await kill(plane);
  });
});

test('a restore whose pager has ended meanwhile is complete, and not said to be verified', async () => {
  await withWorld(async ({ startPlane, create, answerRestores, kill, guest, agentSays }) => {
    const first = await startPlane();
    answerRestores(first);
    const { id } = await create(first);
    await kill(first);
    agentSays(() => THERE);
    const second = await startPlane();
    await second.containers.adopt(guest);
    await untilPhase(second.restores, id, 'complete');
    assert.is(second.restores.get(id).pagesVerified, undefined);
    assert.is(second.containers.get('web').phase, 'running');
    assert.is(second.pageServer.sessionCount, 0);
    await kill(second);
  });
});

test("a pager's last word that came before the agent's is not forgotten", async () => {
  await withWorld(async ({ startPlane, create, kill, guest, asked, agentSays }) => {
    const first = await startPlane();
    const never = Promise.withResolvers<typeof TIMINGS>();
    let pager: FakePager | undefined;
    guest.on('restoreContainer', async (body: AgentRequest) => {
      asked.push(body);
      pager = new FakePager(first.pageServer, 'guest-a');
      pager.hello(body.token);
      pager.credit(1_024);
      await pager.frame(FrameType.END);
      pager.done();
      return never.promise;
    });
    void create(first, { policy: 'eager' }).catch(() => undefined);
    await until('its end', () => pager?.closed === true);
    await kill(first);
    guest.on('restoreContainer', () => TIMINGS);
    agentSays(() => THERE);
    const second = await startPlane();
    const { id } = second.restores.list()[0]!;
    assert.is(second.restores.get(id).phase, 'restoring');
    await second.containers.adopt(guest);
    await untilPhase(second.restores, id, 'complete');
    assert.is(second.restores.get(id).pagesVerified, true);
    assert.equal(second.restores.get(id).timings, TIMINGS);
    await kill(second);
  });
});

test.run();
