/** Restores whose plane ended before their agent had answered. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { RestoreRequest as AgentRequest } from '../../../interconnect/agent-api.ts';
import type { RestoreView } from '../../../offload-plane/restores/restore.ts';
import { OffloadError } from '../../../platform/errors.ts';
import { FIRST_ID } from '../../helpers/plane-parts.ts';
import { until } from '../../helpers/until.ts';
import { THERE, TIMINGS, untilPhase, type World, withWorld } from './take-up-world.ts';

/** A plane is killed while the agent works on the restore; then the agent says what `inspect` says. */
async function cutOff(
  world: World,
  inspect: () => object,
  restore: () => unknown = () => TIMINGS,
  within: <T>(work: () => T) => T = (work) => work(),
) {
  const { startPlane, create, kill, guest, asked } = world;
  const first = await startPlane();
  const never = Promise.withResolvers<typeof TIMINGS>();
  const key = 'key-1';
  world.answers.begin(key, 'print');
  guest.on('restoreContainer', (body: AgentRequest) => {
    asked.push(body);
    return never.promise;
  });
  const { operation } = world.answers.within(key, () =>
    first.operations.start({ kind: 'restore', subject: 'warm' }, () => within(() => create(first))),
  );
  await until('the call', () => asked.length === 1);
  await kill(first);
  assert.is(first.operations.get(operation.id).phase, 'running');
  world.agentSays(inspect);
  guest.on('restoreContainer', restore);
  const second = await startPlane();
  const { id } = second.restores.list()[0]!;
  const meanwhile = second.operations.get(operation.id);
  assert.is(meanwhile.phase, 'running');
  assert.match(meanwhile.progress.text, /the next one goes on with it/);
  await second.containers.adopt(guest);
  const known = world.answers.look(key, 'print');
  return { ...second, id, known, operation: () => second.operations.get(operation.id) };
}

test('a restore whose agent had not answered is finished when the container runs, and its request is answered', async () => {
  await withWorld(async (world) => {
    const { restores, containers, id, known, operation } = await cutOff(world, () => ({
      ...THERE,
      pagesMissing: true,
    }));
    assert.is(restores.get(id).phase, 'running');
    assert.is(operation().phase, 'succeeded');
    assert.is((operation().result as RestoreView).id, id);
    assert.is((operation().result as RestoreView).phase, 'running');
    assert.equal(restores.get(id).timings, TIMINGS);
    assert.is(containers.get('web').phase, 'running');
    assert.equal(known, { phase: 'cut_off', result: { path: `/v1/restores/${id}`, status: 201 } });
  });
});

test('one whose request had asked for its container is answered with that', async () => {
  await withWorld(async (world) => {
    const there = () => ({ ...THERE, pagesMissing: true });
    const { known } = await cutOff(world, there, undefined, world.answers.forContainer);
    const result = { path: `/v1/containers/${FIRST_ID}`, status: 201 };
    assert.equal(known, { phase: 'cut_off', result });
  });
});

test('an agent that was started again meanwhile is believed that the container runs', async () => {
  await withWorld(async (world) => {
    const taken = () => {
      throw new OffloadError('already_exists', 'restore container: the name is taken');
    };
    const { restores, id } = await cutOff(world, () => ({ ...THERE, pagesMissing: true }), taken);
    assert.is(restores.get(id).phase, 'running');
    assert.is(restores.get(id).timings, undefined);
  });
});

test('a restore of which the agent knows nothing, or that failed there, is rolled back and says why', async () => {
  const gone = () => {
    throw new OffloadError('not_found', 'container: there is none of this name');
  };
  const failed = () => {
    throw new OffloadError('runtime_failed', 'restore container: CRIU: no');
  };
  for (const [inspect, restore, reason] of [
    [gone, undefined, /the plane ended, and its guest has nothing of it/],
    [() => THERE, failed, /CRIU: no/],
    [() => ({ ...THERE, phase: 'stopped', exitCode: 1 }), undefined, /it is stopped/],
  ] as const) {
    await withWorld(async (world) => {
      const { restores, containers, pageServer, id, known, operation } = await cutOff(
        world,
        inspect,
        restore,
      );
      await untilPhase(restores, id, 'failed');
      assert.match(restores.get(id).error!.message, reason);
      await until('nothing of it', () => containers.list().length === 0 && pageServer.sessionCount === 0);
      assert.equal(known, { phase: 'cut_off' });
      assert.is(operation().phase, 'failed');
      assert.equal(operation().error, restores.get(id).error);
    });
  }
});

test('a restore whose checkpoint cannot be read any more is rolled back, and says why', async () => {
  await withWorld(async ({ startPlane, create, answerRestores, kill, guest, agentSays }) => {
    const first = await startPlane();
    answerRestores(first);
    const { id } = await create(first);
    await kill(first);
    agentSays(() => ({ ...THERE, pagesMissing: true }));
    const second = await startPlane(async () => {
      throw new OffloadError('incomplete_checkpoint', 'checkpoint warm: its index is missing');
    });
    assert.is(second.restores.get(id).phase, 'failed');
    assert.match(second.restores.get(id).error!.message, /its index is missing/);
    await second.containers.adopt(guest);
    assert.is(guest.calls.includes(`deleteContainer ${FIRST_ID}`), true);
    assert.equal(second.containers.list(), []);
    await kill(second);
    const third = await startPlane();
    assert.is(third.restores.get(id).phase, 'failed');
  });
});

test.run();
