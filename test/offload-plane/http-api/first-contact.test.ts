/** What a plane is asked right after its start, before it has reached the guests that the one before it had. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type App, createHttpApi } from '../../../offload-plane/http-api/server.ts';
import { createPlane, type Plane } from '../../../offload-plane/plane.ts';
import { startFakeMachine } from '../../helpers/fake-machine.ts';
import { PATIENT_TIMEOUTS } from '../../helpers/patient-timeouts.ts';
import { placeImage } from '../../helpers/placed-image.ts';
import { silentLogger } from '../../helpers/plane-parts.ts';
import { tempDirectory } from '../../helpers/temp-directory.ts';
import { until } from '../../helpers/until.ts';

interface Started {
  plane: Plane;
  app: App;
  post(url: string, payload?: object): Promise<{ statusCode: number; json(): unknown }>;
  close(): Promise<void>;
}

async function startPlane(storeDirectory: string): Promise<Started> {
  const plane = await createPlane(
    { storeDirectory, hostAddress: '127.0.0.1', timeouts: PATIENT_TIMEOUTS },
    { logger: silentLogger, nowMs: () => performance.now(), wallMs: () => Date.now(), randomBytes },
  );
  const app = await createHttpApi(plane, silentLogger, { checkAnswers: true });
  return {
    plane,
    app,
    post: (url, payload = {}) => app.inject({ method: 'POST', url, payload }),
    async close() {
      await app.close();
      await plane.close();
    },
  };
}

/**
 * A plane with a running container in the first guest, and the next one over the same store, which the guests
 * do not answer until they may.
 */
async function withSuccessor(body: (next: Started, mayAnswer: () => void) => Promise<void>) {
  const directory = tempDirectory('first-contact');
  placeImage(join(directory, 'images'));
  const machines = await Promise.all(['guest-a', 'guest-b'].map((name) => startFakeMachine(name, true)));
  const first = await startPlane(directory);
  for (const { registration } of machines) await first.post('/v1/guests', registration);
  await first.post('/v1/containers', { name: 'web', guest: 'guest-a', image: 'redis' });
  assert.is((await first.post('/v1/containers/web/start')).statusCode, 200);
  await first.close();
  const gate = Promise.withResolvers<void>();
  for (const { world } of machines) {
    const { health } = world.agent;
    world.agent.health = async () => {
      await gate.promise;
      return await health();
    };
  }
  const next = await startPlane(directory);
  try {
    await body(next, gate.resolve);
  } finally {
    await next.close();
    for (const machine of machines) machine.close();
  }
}

test('a drain waits until the containers of the guests are known again, and moves them', async () => {
  await withSuccessor(async ({ plane, post }, mayAnswer) => {
    const answering = post('/v1/guests/guest-a/drain');
    await until('the drain is under way', () => plane.operations.list().some(({ kind }) => kind === 'drain'));
    assert.is(plane.guests.get('guest-b').phase, 'unreachable');
    mayAnswer();
    const answer = await answering;
    assert.is(answer.statusCode, 200);
    const { moved, left } = answer.json() as { moved: { container: string; guest: string }[]; left: unknown };
    assert.equal(left, []);
    assert.equal(
      moved.map(({ container, guest }) => ({ container, guest })),
      [{ container: 'web', guest: 'guest-b' }],
    );
    assert.is(plane.containers.get('web').phase, 'running');
  });
});

test.run();
