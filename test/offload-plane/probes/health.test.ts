import { duplexPair } from 'node:stream';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { setPhase } from '../../../offload-plane/containers/container.ts';
import { afterProbe, type HealthState, STARTING } from '../../../offload-plane/probes/health.ts';
import { createProbeWatcher } from '../../../offload-plane/probes/watcher.ts';
import { fakeGuest } from '../../helpers/fake-guest.ts';
import { containersOf } from '../../helpers/plane-parts.ts';
import { until } from '../../helpers/until.ts';

const RULES = { retries: 3, startPeriodMs: 1_000 };

function healthOf(results: [succeeded: boolean, sinceStartMs: number][]): string[] {
  let state: HealthState = STARTING;
  return results.map(([succeeded, sinceStartMs]) => {
    state = afterProbe(state, succeeded, sinceStartMs, RULES);
    return state.health;
  });
}

test('only failures in a row make a container unhealthy, and one success heals it', () => {
  assert.equal(
    healthOf([
      [true, 0],
      [false, 1],
      [false, 2],
      [true, 3],
      [false, 4],
      [false, 5],
      [false, 6],
      [true, 7],
    ]),
    ['healthy', 'healthy', 'healthy', 'healthy', 'healthy', 'healthy', 'unhealthy', 'healthy'],
  );
});

test('failures of the start period do not count, unless it was healthy before', () => {
  const early: [boolean, number][] = [
    [false, 1],
    [false, 2],
    [false, 3],
    [false, 999],
  ];
  assert.equal(healthOf(early), ['starting', 'starting', 'starting', 'starting']);
  assert.equal(healthOf([...early, [false, 1_000], [false, 1_001], [false, 1_002]]).at(-1), 'unhealthy');
  assert.equal(
    healthOf([
      [true, 1],
      [false, 2],
      [false, 3],
      [false, 4],
    ]).at(-1),
    'unhealthy',
  );
});

test('a running container is probed until it ends, and changes are told once', async () => {
  const guest = fakeGuest();
  const containers = containersOf(guest);
  const policy = { tcp: { port: 80 }, intervalMs: 1, timeoutMs: 60_000, retries: 2 };
  await containers.create({
    ...{ name: 'web', guest: 'guest-a', image: 'redis' },
    healthCheck: policy,
    readinessProbe: policy,
  });
  await containers.start('web');
  const web = containers.get('web');
  let answers = true;
  guest.onStream(() => {
    if (answers) return duplexPair()[0];
    throw new Error('refused');
  });
  const told: string[] = [];
  const watcher = createProbeWatcher({
    guestOf: () => guest,
    note: (_container, event) => void told.push(event),
    wallMs: () => Date.now(),
    nowMs: () => performance.now(),
  });
  watcher.start(web);
  watcher.start(web);
  await until('health and readiness', () => web.health === 'healthy' && web.ready);
  answers = false;
  await until('the failure', () => web.health === 'unhealthy' && web.ready === false);
  assert.equal([...told].sort(), ['healthy', 'ready', 'unhealthy', 'unready']);
  setPhase(web, 'stopped');
  assert.is(web.health, undefined);
  watcher.close();
  containers.close();
});

test.run();
