import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { age, duration, percent, shortBytes } from '../../../offload-plane/cli/format.ts';

test('bytes have three digits and a binary unit', () => {
  const cases: [number, string][] = [
    [0, '0B'],
    [1, '1B'],
    [1_023, '1023B'],
    [1_024, '1KiB'],
    [12_902_400, '12.3MiB'],
    [2 ** 30, '1GiB'],
    [2 ** 50, '1024TiB'],
  ];
  for (const [bytes, text] of cases) assert.is(shortBytes(bytes), text);
});

test('a time span is counted in the largest unit it fills', () => {
  const cases: [number, string][] = [
    [0, 'less than a second'],
    [1_000, '1 second'],
    [59_999, '59 seconds'],
    [60_000, '1 minute'],
    [3 * 3_600_000, '3 hours'],
    [8 * 86_400_000, '1 week'],
  ];
  for (const [ms, text] of cases) assert.is(duration(ms), text);
});

test('an age is counted from now, and a clock ahead of ours is now', () => {
  const nowMs = Date.parse('2026-01-01T00:10:00Z');
  assert.is(age('2026-01-01T00:05:00Z', nowMs), '5 minutes ago');
  assert.is(age('2026-01-01T00:20:00Z', nowMs), 'less than a second ago');
  assert.is(age(undefined, nowMs), '-');
  assert.is(percent(0.1234), '12.34%');
});

test.run();
