import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { requestKeys } from '../../../testbed/workloads/redis-requests.ts';
import { createRedisValues, keyOf } from '../../../testbed/workloads/redis-values.ts';

const VALUE_BYTES = 8128;
const values = createRedisValues(VALUE_BYTES);

function makeValue(index: number): Buffer {
  const value = Buffer.alloc(VALUE_BYTES);
  values.write(value, 0, index);
  return value;
}

test('a value follows from its key alone', () => {
  const again = Buffer.alloc(VALUE_BYTES);
  createRedisValues(VALUE_BYTES).write(again, 0, 77);
  assert.ok(makeValue(77).equals(again));
  assert.is(values.firstDifference(again, 77), undefined);
  assert.is(keyOf(77), 'key:00000077');
});

test('a wrong byte is found where it is', () => {
  for (const at of [0, 5000, VALUE_BYTES - 1]) {
    const value = makeValue(3);
    value[at]! ^= 1;
    assert.is(values.firstDifference(value, 3), at);
  }
  assert.is(values.firstDifference(makeValue(3).subarray(0, 100), 3), 100);
  assert.type(values.firstDifference(makeValue(3 + 16), 3), 'number');
});

test('no two half pages of the data set are alike', () => {
  const seen = new Set<string>();
  const stampCount = Math.floor((VALUE_BYTES - 8) / 2048) + 1;
  for (let index = 0; index < 200; index += 1) {
    const value = makeValue(index);
    for (let at = 0; at < VALUE_BYTES; at += 2048) seen.add(value.toString('latin1', at, at + 2048));
  }
  assert.is(seen.size, 200 * stampCount);
});

test('one request asks for different keys from all over the data set', () => {
  const keys = requestKeys(32_768, 0);
  assert.is(new Set(keys).size, 20);
  assert.ok(Math.max(...keys) > 30_000);
  assert.equal(requestKeys(32_768, 0), keys);
  assert.not(requestKeys(32_768, 1).some((key) => keys.includes(key)));
  assert.equal(requestKeys(3, 0), [0, 1, 2]);
});

test.run();
