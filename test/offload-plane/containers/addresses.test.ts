import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createAddressPool } from '../../../offload-plane/containers/addresses.ts';
import { OffloadError } from '../../../platform/errors.ts';

test('addresses differ, begin behind the gateway and have the prefix', () => {
  const pool = createAddressPool();
  assert.is(pool.take(), '10.88.0.2/16');
  assert.is(pool.take(), '10.88.0.3/16');
});

test('the third byte counts on', () => {
  const pool = createAddressPool();
  for (let low = 2; low <= 255; low += 1) pool.take();
  assert.is(pool.take(), '10.88.1.0/16');
});

test('an address that a restored container keeps is not given out, until it is released', () => {
  const pool = createAddressPool();
  pool.keep('10.88.0.2/16');
  assert.is(pool.take(), '10.88.0.3/16');
  pool.release('10.88.0.2/16');
  const rest = Array.from({ length: 65_532 }, () => pool.take());
  assert.ok(rest.includes('10.88.0.2/16'));
});

test('when all are taken, it says so with the number', () => {
  const pool = createAddressPool();
  const all = new Set(Array.from({ length: 65_533 }, () => pool.take()));
  assert.is(all.size, 65_533);
  assert.not(all.has('10.88.0.1/16'), 'that is the gateway');
  assert.throws(
    () => pool.take(),
    (error: unknown) => error instanceof OffloadError && /all 65533 addresses are taken/.test(error.message),
  );
  pool.release('10.88.7.7/16');
  assert.is(pool.take(), '10.88.7.7/16');
});

test.run();
