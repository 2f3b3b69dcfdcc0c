import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createPlane } from '../../../offload-plane/plane.ts';
import { type ApiWorld, assertProblem, withApi } from '../../helpers/api-world.ts';
import { startFakeMachine } from '../../helpers/fake-machine.ts';
import { PATIENT_TIMEOUTS } from '../../helpers/patient-timeouts.ts';
import { placeImage } from '../../helpers/placed-image.ts';
import { silentLogger } from '../../helpers/plane-parts.ts';
import { tempDirectory } from '../../helpers/temp-directory.ts';
import { until } from '../../helpers/until.ts';

const JOB = { name: 'job', guest: 'guest-a', image: 'redis', autoRemove: true };

async function startJob({ send, machine }: ApiWorld): Promise<string> {
  await send('POST', '/v1/guests', machine.registration);
  const { id } = (await send('POST', '/v1/containers', JOB)).body;
  assert.is((await send('POST', '/v1/containers/job/start')).body.phase, 'running');
  return id;
}

const isGone = ({ plane, machine }: Pick<ApiWorld, 'plane' | 'machine'>, id: string) =>
  until(
    'the container is gone from plane and guest',
    () => plane.containers.list().length === 0 && machine.world.crunCalls().at(-1) === `delete --force ${id}`,
  );

test('a container that is to be deleted at its end is, in the guest too, and its end is told', async () => {
  await withApi(async (world) => {
    const id = await startJob(world);
    const waiting = world.send('POST', '/v1/containers/job/wait');
    world.machine.world.leaveExit(id, 3);
    assert.equal((await waiting).body, { phase: 'stopped', exitCode: 3 });
    await isGone(world, id);
    const { body } = await world.send('GET', '/v1/events?since=0&follow=false');
    const events = String(body)
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line).event as string);
    assert.equal(events.slice(-2), ['exited', 'removed']);
  });
});

test('a restart of it is no end', async () => {
  await withApi(async (world) => {
    const id = await startJob(world);
    const restarting = world.send('POST', '/v1/containers/job/restart', { graceMs: 60_000 });
    await until('the signal', () => world.machine.world.crunCalls().includes(`kill ${id} 15`));
    world.machine.world.leaveExit(id, 0);
    assert.is((await restarting).body.phase, 'running');
    world.machine.world.leaveExit(id, 0);
    await isGone(world, id);
  });
});

test('one that ended while there was no plane is deleted by the next', async () => {
  const storeDirectory = tempDirectory('auto-remove');
  placeImage(join(storeDirectory, 'images'));
  const machine = await startFakeMachine('guest-a');
  const start = () =>
    createPlane(
      { storeDirectory, hostAddress: '127.0.0.1', timeouts: PATIENT_TIMEOUTS },
      { logger: silentLogger, nowMs: () => performance.now(), wallMs: () => Date.now(), randomBytes },
    );
  const first = await start();
  await first.guests.register(machine.registration);
  const { id } = await first.containers.create(JOB);
  await first.containers.start('job');
  await first.close();
  machine.world.leaveExit(id, 0);
  const next = await start();
  await isGone({ plane: next, machine }, id);
  await next.close();
  machine.close();
});

test('to be deleted and to be restarted exclude each other', async () => {
  await withApi(async ({ send, machine }) => {
    await send('POST', '/v1/guests', machine.registration);
    const both = await send('POST', '/v1/containers', { ...JOB, restart: { name: 'always' } });
    assertProblem(both, 'invalid_request', 400);
    assert.match(both.body.detail, /autoRemove/);
  });
});

test.run();
