import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { formatBytes, GIB, KIB, MIB, megabytesPerSecond } from '../../platform/units.ts';

test('byte counts are shown in the largest unit that fits', () => {
  assert.is(formatBytes(0), '0 bytes');
  assert.is(formatBytes(KIB - 1), '1023 bytes');
  assert.is(formatBytes(KIB), '1.0 KiB');
  assert.is(formatBytes(1.5 * MIB), '1.5 MiB');
  assert.is(formatBytes(20 * GIB), '20.0 GiB');
});

test('throughput is in megabytes of 10^6 bytes, and 0 for no time', () => {
  assert.is(megabytesPerSecond(5_000_000, 1_000), 5);
  assert.is(megabytesPerSecond(1, 0), 0);
});

test.run();
