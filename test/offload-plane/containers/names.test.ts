import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { newName } from '../../../offload-plane/containers/names.ts';

test('a name is one that containers may have, whatever the dice say', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 2, maxLength: 2 }), (dice) => {
      const name = newName(
        () => false,
        () => Buffer.from(dice),
      );
      assert.match(name, /^[a-z0-9][a-z0-9_.-]{0,62}$/);
    }),
  );
});

test('a name that is taken is not given, and digits help when all are', () => {
  const taken = new Set<string>();
  for (let count = 0; count < 200; count += 1) {
    const name = newName((other) => taken.has(other), randomBytes);
    assert.not(taken.has(name));
    taken.add(name);
  }
  assert.match(
    newName((name) => !/_[0-9a-f]{6}$/.test(name), randomBytes),
    /^[a-z]+_[a-z]+_[0-9a-f]{6}$/,
  );
  assert.throws(() => newName(() => true, randomBytes), /no free name/);
});

test.run();
