/** Templates: built once from an image and its warm-up, then started from, several at a time. */

import * as assert from 'uvu/assert';
import { recordCount } from '../../testbed/images/node-server/records.mjs';
import type { WarmUpFacts } from '../../testbed/workloads/workload.ts';
import { WORKLOADS } from '../../testbed/workloads/workloads.ts';
import { rejection } from '../helpers/rejection.ts';
import { suite } from '../helpers/suite.ts';
import { type TwoGuests, takeTwoGuests } from '../helpers/two-guests.ts';
import { completed, deadlineOf, endpointOf } from '../helpers/warm-container.ts';

const test = suite<{ testbed: TwoGuests }>('templates');
const { node } = WORKLOADS;
const port = node.containerPort;
/** Answers 200 once the data is there. */
const READY = { http: { port, path: '/healthz' } };
/** Each walks over records of 1 KiB, four a page. */
const WALK = { http: { port, path: '/digest?from=0&count=2000' }, count: 5 };
const WALKED_PAGES = 2000 / 4;
/** Of a round other than the first its digest is made by who asks. */
const FACTS: WarmUpFacts = {
  ...{ workload: 'node', recordCount: recordCount(node.smallSize.dataMiB), walkCount: 2000 },
  ...{ sha256: '', allSha256: '' },
};

test.before(async (context) => {
  context.testbed = await takeTwoGuests();
});
test.after(async ({ testbed }) => await testbed?.stop());

test('a template is warmed up by HTTP requests and recorded once; what starts from it answers, its pages pushed', async ({
  testbed,
}) => {
  const { plane } = testbed;
  const template = await plane.templates.create({
    name: 'cache',
    image: 'node',
    guest: 'origin',
    options: { env: node.containerEnv(node.smallSize), ports: [{ containerPort: port }] },
    ready: READY,
    warmUp: [WALK],
  });
  assert.ok(template.workingSetPageCount! > WALKED_PAGES, JSON.stringify(template));
  assert.equal(await plane.containers.list(), []);
  const checkpoint = await plane.checkpoints.inspect(template.checkpoint);
  assert.is(checkpoint.pinned, true);
  assert.is(checkpoint.hasOrderLog, true);
  assert.equal(
    (await plane.templates.list()).map(({ name }) => name),
    ['cache'],
  );

  const names = ['cache-1', 'cache-2'];
  const started = await Promise.all(
    names.map((name) => plane.templates.run('cache', { name, guest: 'origin' })),
  );
  assert.is(new Set(started.map(({ address }) => address)).size, 2);
  for (const name of names) await node.waitReady(await endpointOf(testbed, name), deadlineOf(testbed));
  for (const view of await plane.restores.list()) {
    if (!names.includes(view.container)) continue;
    assert.is(view.effectivePolicy, 'ordered');
    await completed(testbed, view.id);
  }
  const request = { deadlineMs: deadlineOf(testbed), round: 1 };
  for (const name of names) await node.firstRequest(await endpointOf(testbed, name), FACTS, request);
  for (const name of names) await plane.containers.remove(name, { force: true });
});

test('a template that does not become ready is not made, and leaves nothing', async ({ testbed }) => {
  const { plane } = testbed;
  const error = await rejection(
    plane.templates.create({
      name: 'stuck',
      image: 'redis',
      guest: 'origin',
      ready: { tcp: { port: 1 } },
      readyTimeoutMs: 300,
    }),
  );
  assert.is(error.code, 'deadline_exceeded');
  assert.match(error.message, /template-stuck-build is not ready/);
  assert.equal(await plane.containers.list(), []);
  assert.is((await rejection(plane.checkpoints.inspect('template-stuck'))).code, 'not_found');
  assert.is((await rejection(plane.templates.inspect('stuck'))).code, 'not_found');
});

test('a template that is removed takes its checkpoint with it', async ({ testbed }) => {
  const { plane } = testbed;
  await plane.templates.remove('cache');
  assert.equal(await plane.templates.list(), []);
  assert.is((await rejection(plane.checkpoints.inspect('template-cache'))).code, 'not_found');
  const refused = await rejection(plane.templates.run('cache', { name: 'late', guest: 'origin' }));
  assert.is(refused.code, 'not_found');
});

test.run();
