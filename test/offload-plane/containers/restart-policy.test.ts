import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { RestartPolicy } from '../../../offload-plane/containers/policies.ts';
import { type Ended, RAN_WELL_MS, restartOf } from '../../../offload-plane/containers/restart-policy.ts';

const ended = (restart: RestartPolicy | undefined, other: Partial<Ended> = {}): Ended => ({
  policies: restart ? { restart } : {},
  desired: 'running',
  exitCode: 1,
  restartCount: 0,
  startedAtMs: 0,
  finishedAtMs: 10,
  ...other,
});

test('which ends each policy answers with a start, and which not', () => {
  const policies: (RestartPolicy | undefined)[] = [
    undefined,
    { name: 'no' },
    { name: 'on-failure' },
    { name: 'always' },
    { name: 'unless-stopped' },
  ];
  const rows: [what: string, other: Partial<Ended>, planeStarted: boolean, restarts: boolean[]][] = [
    ['a failure', { exitCode: 1 }, false, [false, false, true, true, true]],
    ['a good end', { exitCode: 0 }, false, [false, false, false, true, true]],
    ['stopped by its user', { desired: 'stopped' }, false, [false, false, false, false, false]],
    ['so, and the plane starts', { desired: 'stopped' }, true, [false, false, false, true, false]],
    ['ended while no plane was there', {}, true, [false, false, true, true, true]],
  ];
  for (const [what, other, planeStarted, restarts] of rows) {
    assert.equal(
      policies.map((policy) => restartOf(ended(policy, other), planeStarted) !== undefined),
      restarts,
      what,
    );
  }
});

test('each start in a row waits twice as long, up to a minute, and one that ran well is counted anew', () => {
  const after = (restartCount: number) => restartOf(ended({ name: 'always' }, { restartCount }));
  assert.equal(
    [0, 1, 2, 9, 10, 500].map((count) => after(count)?.delayMs),
    [100, 200, 400, 51_200, 60_000, 60_000],
  );
  assert.is(after(4)?.restartCount, 5);
  const well = ended({ name: 'always' }, { restartCount: 7, finishedAtMs: RAN_WELL_MS });
  assert.equal(restartOf(well), { delayMs: 100, restartCount: 1 });
});

test('on-failure gives up after its retries', () => {
  const policy: RestartPolicy = { name: 'on-failure', maxRetries: 2 };
  const after = (restartCount: number) => restartOf(ended(policy, { restartCount })) !== undefined;
  assert.equal([0, 1, 2, 3].map(after), [true, true, false, false]);
});

test.run();
