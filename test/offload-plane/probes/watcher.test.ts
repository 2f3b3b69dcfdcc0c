import { duplexPair } from 'node:stream';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Containers } from '../../../offload-plane/containers/containers.ts';
import type { Policies } from '../../../offload-plane/containers/policies.ts';
import { viewOf } from '../../../offload-plane/containers/view.ts';
import { createProbeWatcher } from '../../../offload-plane/probes/watcher.ts';
import { OffloadError } from '../../../platform/errors.ts';
import { type FakeGuest, fakeGuest, guestsOf } from '../../helpers/fake-guest.ts';
import { containersOver } from '../../helpers/plane-parts.ts';
import { openState } from '../../helpers/state.ts';
import { until } from '../../helpers/until.ts';

/** Longer than any test: who is probed a second time within it was probed at once. */
const HOUR_MS = 3_600_000;
const CHECK = { tcp: { port: 80 }, intervalMs: HOUR_MS, retries: 1 };

interface World {
  guest: FakeGuest;
  /** The containers and their watcher, as a plane makes them of what is on disk. */
  open(wallMs?: () => number): { containers: Containers; watch(): void };
  /** What was noted of `web`, by every plane. */
  notes: string[];
}

async function withWeb(policies: Policies, body: (world: World) => Promise<void>): Promise<void> {
  const state = openState();
  const guest = fakeGuest();
  const notes: string[] = [];
  const closers: (() => void)[] = [];
  const open: World['open'] = (wallMs = () => Date.now()) => {
    const containers = containersOver(state, guest);
    const watcher = createProbeWatcher({
      guestOf: ({ guest: name }) => guestsOf(guest).find(name),
      note: (_container, event) => notes.push(event),
      nowMs: () => performance.now(),
      wallMs,
    });
    closers.push(watcher.close, containers.close);
    return { containers, watch: () => watcher.start(containers.get('web')) };
  };
  const { containers } = open();
  await containers.create({ name: 'web', guest: 'guest-a', image: 'redis', ...policies });
  await containers.start('web');
  try {
    await body({ guest, open, notes });
  } finally {
    for (const close of closers) close();
  }
}

test('after a start of the plane a container is starting and not ready, and both probes ask at once', async () => {
  await withWeb({ healthCheck: CHECK, readinessProbe: CHECK }, async ({ open, notes }) => {
    for (let plane = 1; plane <= 2; plane += 1) {
      const { containers, watch } = open();
      const view = () => viewOf(containers.get('web'));
      assert.equal([view().health, view().ready], ['starting', false]);
      watch();
      assert.equal([view().health, view().ready], ['starting', false]);
      await until('an answer', () => view().health === 'healthy' && view().ready === true);
      assert.equal(notes.splice(0).sort(), ['healthy', 'ready']);
    }
  });
});

test('a start period begins with the container, not with the plane', async () => {
  const startPeriodMs = 60_000;
  await withWeb({ healthCheck: { ...CHECK, startPeriodMs } }, async ({ guest, open, notes }) => {
    let asked = 0;
    guest.onStream(() => {
      asked += 1;
      throw new Error('refused');
    });
    const early = open();
    early.watch();
    await until('a probe within the period', () => asked === 1);
    assert.is(viewOf(early.containers.get('web')).health, 'starting');
    const late = open(() => Date.now() + startPeriodMs);
    late.watch();
    await until('the verdict', () => viewOf(late.containers.get('web')).health === 'unhealthy');
    assert.equal(notes, ['unhealthy']);
  });
});

test('a probe that was cut off with its guest says nothing of the container', async () => {
  await withWeb({ healthCheck: { ...CHECK, intervalMs: 100 } }, async ({ guest, open, notes }) => {
    let asked = 0;
    guest.onStream(() => {
      asked += 1;
      if (asked > 1) return duplexPair()[0];
      throw new OffloadError('guest_lost', 'cut off');
    });
    const { containers, watch } = open();
    watch();
    await until('the next answer', () => viewOf(containers.get('web')).health === 'healthy');
    assert.equal(notes, ['healthy']);
  });
});

test.run();
