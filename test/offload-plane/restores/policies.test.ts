import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { FrameType, PageFlag } from '../../../interconnect/page-protocol.ts';
import type { Policy } from '../../../offload-plane/page-server/contract.ts';
import { DEFAULT_POLICY } from '../../../offload-plane/restores/restores.ts';
import { until } from '../../helpers/until.ts';
import { at, TOTAL_PAGES, withRestores } from './world.ts';

const POLICIES: Policy[] = ['eager', 'lazy', 'ordered', 'prefill'];
const TIMINGS = { preparedMs: 1, pagerReadyMs: 2, runningMs: 3 };

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

test('an order log that is damaged is ignored, counted, and recorded anew', async () => {
  await withRestores(async ({ create, directory, sessions, metrics }) => {
    writeFileSync(join(directory, 'checkpoints', 'warm', 'order'), 'not an order log');
    const view = await create({ policy: 'ordered' });
    assert.is(view.effectivePolicy, 'lazy');
    assert.is(sessions[0]?.recording.phase, 'recording');
    assert.match(await metrics.text(), /^offload_order_logs_ignored_total\{reason="[a-z_]+"\} 1$/m);
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

test.run();
