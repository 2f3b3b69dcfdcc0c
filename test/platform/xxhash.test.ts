import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { xxh64, xxh64At } from '../../platform/xxhash.ts';

// From `xxhsum -H1` (xxHash 0.8.1); the first is in the specification of the algorithm.
test('XXH64 with seed 0 of known inputs', () => {
  assert.is(xxh64(Buffer.alloc(0)), 0xef46db3751d8e999n);
  assert.is(xxh64(Buffer.from('abc')), 0x44bc2cf5ad770999n);
});

test('a part of a buffer hashes as it would alone', () => {
  const bytes = Buffer.from('--abc--');
  assert.is(xxh64At(bytes, 2, 3), xxh64(Buffer.from('abc')));
  assert.is.not(xxh64At(bytes, 1, 3), xxh64(Buffer.from('abc')));
});

test.run();
