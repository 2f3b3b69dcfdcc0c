import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type StatsSample, statsRow, statusOf } from '../../../offload-plane/cli/container-rows.ts';

const CONTAINER = { id: 'c0ffee00c0de', name: 'web', guest: 'guest-a', phase: 'running' };
const stall = (avg10: number) => ({ avg10, avg60: 0, avg300: 0, totalUs: 0 });
const pressure = (avg10: number) => ({ some: stall(avg10), full: stall(0) });
const STATS = {
  ...{ memoryBytes: 3 * 2 ** 20, memoryLimitBytes: 2 ** 30, cpuUsageUs: 500_000, pidCount: 4 },
  ...{ ioReadBytes: 0, ioWriteBytes: 2 ** 10, networkReceivedBytes: 100, networkSentBytes: 200 },
};
const sample = (atMs: number, more: object = {}) =>
  ({ container: CONTAINER, stats: { ...STATS, ...more }, atMs }) as unknown as StatsSample;

test('stats have the share of a processor since the sample before, and what was waited for', () => {
  const later = sample(2_000, {
    cpuUsageUs: 1_000_000,
    pressure: { cpu: pressure(12.34), memory: pressure(0), io: pressure(1) },
  });
  assert.equal(statsRow(later, sample(1_000)), {
    ...{ name: 'web', guest: 'guest-a', 'cpu %': '50.00%', 'mem usage / limit': '3MiB / 1GiB' },
    ...{ 'net i/o': '100B / 200B', 'block i/o': '0B / 1KiB', pids: 4 },
    'waits cpu/mem/io': '12.3% 0.0% 1.0%',
  });
});

test('the first sample has no share, and a kernel without pressure a dash', () => {
  const row = statsRow(sample(1_000)) as Record<string, unknown>;
  assert.is(row['cpu %'], '-');
  assert.is(row['waits cpu/mem/io'], '-');
});

test('a status says since when, how healthy and how it ended', () => {
  const now = Date.parse('2026-01-01T00:10:00Z');
  const of = (fields: object) => statusOf({ ...CONTAINER, ...fields } as never, now);
  const startedAt = '2026-01-01T00:05:00Z';
  assert.is(of({ startedAt, health: 'healthy' }), 'Up 5 minutes (healthy)');
  assert.is(of({ startedAt, phase: 'paused' }), 'Up 5 minutes (paused)');
  const ended = { phase: 'stopped', exitCode: 137, finishedAt: '2026-01-01T00:09:59Z' };
  assert.is(of(ended), 'Exited (137) 1 second ago');
  assert.is(of({ phase: 'restoring' }), 'Restoring');
});

test.run();
