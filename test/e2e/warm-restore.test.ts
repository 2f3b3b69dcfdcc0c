import * as assert from 'uvu/assert';
import type { ContainerReport, RestoreReport } from '../../testbed/scenarios/report.ts';
import { POLICIES, runWarmRestore } from '../../testbed/scenarios/warm-restore.ts';
import { type Endpoint, WORKLOADS } from '../../testbed/workloads/workloads.ts';
import { suite } from '../helpers/suite.ts';
import { type TwoGuests, takeTwoGuests } from '../helpers/two-guests.ts';
import { completed, deadlineOf, endpointOf, startWarm } from '../helpers/warm-container.ts';

const test = suite<{ testbed: TwoGuests }>('a warm container restored in another guest');

test.before(async (context) => {
  context.testbed = await takeTwoGuests();
});
test.after(async ({ testbed }) => await testbed?.stop());

function runSmall(testbed: TwoGuests, workload: 'redis' | 'node'): Promise<ContainerReport> {
  return runWarmRestore({
    plane: testbed.plane,
    origin: 'origin',
    target: 'target',
    workload: WORKLOADS[workload],
    size: WORKLOADS[workload].smallSize,
    name: workload,
    repetitions: 1,
    heldPolicies: POLICIES,
    deadlineScale: testbed.deadlineScale,
    onProgress: () => {},
  });
}

const byPolicy = (report: ContainerReport, policy: string) =>
  report.restores.find((restore) => restore.policy === policy) as RestoreReport;

for (const name of ['redis', 'node'] as const) {
  test(`${name} answers with the right body under every policy, and its memory is the checkpoint's`, async ({
    testbed,
  }) => {
    const report = await runSmall(testbed, name);
    assert.equal(
      report.restores.map((restore) => restore.policy),
      POLICIES,
    );
    for (const restore of [report.recording, ...report.restores]) {
      assert.ok(restore.verified, `${restore.policy}: body`);
      assert.ok(restore.memoryVerified, `${restore.policy}: memory`);
      assert.ok(restore.ttfrMs > 0 && restore.allInMs > 0);
    }
    assert.is(report.heldRestores.length, POLICIES.length);
    for (const held of report.heldRestores) {
      assert.ok(held.pageCount > 0);
      assert.is(held.equalPageCount, held.pageCount, `${held.policy}: held restore`);
    }
    assert.ok(report.checkpoint.frozenMs > 0);
    assert.ok(report.checkpoint.bytes < report.checkpoint.pageCount * 4096 * 1.1);
    const lazy = byPolicy(report, 'lazy');
    assert.ok(lazy.faultCount > 0, 'lazy faults');
    assert.is(byPolicy(report, 'eager').faultCount, 0);
    for (const policy of ['ordered', 'prefill']) {
      const { faultCount } = byPolicy(report, policy);
      assert.ok(
        faultCount <= lazy.faultCount / 10,
        `${policy}: ${faultCount} faults, lazy ${lazy.faultCount}`,
      );
    }
    assert.ok(byPolicy(report, 'ordered').pushedPageCount > 0);
    assert.is(byPolicy(report, 'prefill').pushedPageCount, 0);
  });
}

test('a lazily restored container answers long before its memory is there', async ({ testbed }) => {
  const views = await testbed.plane.restores.list();
  for (const name of ['redis', 'node']) {
    const shares = views
      .filter(({ policy, container }) => policy === 'lazy' && container.startsWith(`${name}-`))
      .flatMap(({ pageCountAtResponse, totalPageCount }) =>
        pageCountAtResponse === undefined ? [] : [pageCountAtResponse / totalPageCount],
      );
    // Of those that were asked the best: while a busy machine pauses, faults seem to have dried up, and the rest comes.
    assert.ok(Math.min(...shares) < 0.5, `${name}: ${shares.join(' ')} of its pages`);
  }
});

test('a container that was checkpointed without being stopped runs on, and is restored beside itself', async ({
  testbed,
}) => {
  const { plane } = testbed;
  const { workload, endpoint, facts } = await startWarm(testbed, {
    ...{ name: 'runs-on', guest: 'origin', size: { dataMiB: 4 } },
  });
  const verify = (at: Endpoint) => workload.verifyAll(at, facts, { deadlineMs: deadlineOf(testbed) });
  const checkpoint = await plane.checkpoints.create({ container: 'runs-on', id: 'runs-on', after: 'resume' });
  assert.ok((checkpoint.frozenMs ?? 0) > 0);
  await verify(endpoint);
  assert.is((await plane.containers.inspect('runs-on')).phase, 'running');

  const request = { checkpoint: 'runs-on', guest: 'target', name: 'twin', record: false };
  const restore = await plane.restores.create(request);
  await verify(await endpointOf(testbed, 'twin'));
  await completed(testbed, restore.id);
  await verify(endpoint);
  const stats = await plane.containers.stats('twin');
  assert.ok(stats.memoryBytes > 4 * 1024 * 1024);
  assert.ok(stats.pidCount >= 1);
  await plane.containers.remove('twin', { force: true });
  await plane.containers.remove('runs-on', { force: true });
  assert.equal(await plane.containers.list(), []);
});

test('the plane tells what it did as Prometheus metrics', async ({ testbed }) => {
  const text = await testbed.plane.metrics();
  assert.match(text, /^offload_checkpoints_total [1-9]/m);
  assert.match(text, /^offload_restore_first_response_seconds_count\{policy="ordered"\} [1-9]/m);
  assert.match(text, /^offload_guests\{phase="ready"\} 2$/m);
});

test.run();
