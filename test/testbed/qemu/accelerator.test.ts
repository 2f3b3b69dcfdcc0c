import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { deadlineScaleOf } from '../../../testbed/qemu/accelerator.ts';

test('deadlines are never shorter than written, and emulation gets at least four times as long', () => {
  assert.is(deadlineScaleOf('kvm', 400), 1);
  assert.is(deadlineScaleOf('kvm', 2_500), 3);
  assert.is(deadlineScaleOf('tcg', 2_000), 4);
  assert.is(deadlineScaleOf('tcg', 6_200), 7);
  assert.is(deadlineScaleOf('tcg', 90_000), 20);
});

test.run();
