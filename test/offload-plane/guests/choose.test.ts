import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { chooseGuest } from '../../../offload-plane/guests/choose.ts';

const guest = (name: string, freeBytes: number, rest: { ready?: boolean; cordoned?: boolean } = {}) => ({
  ...{ name, freeBytes, ready: true, cordoned: false },
  ...rest,
});

test('the guest with the most free memory is taken, of equal ones the first by name', () => {
  assert.is(chooseGuest([guest('a', 1), guest('c', 3), guest('b', 3)], 'create container web'), 'b');
});

test('one that is cordoned or lost takes nothing, and a refusal says why of each', () => {
  const candidates = [guest('a', 9, { cordoned: true }), guest('b', 8, { ready: false })];
  assert.is(chooseGuest([...candidates, guest('c', 1)], 'create container web'), 'c');
  assert.throws(
    () => chooseGuest(candidates, 'create container web'),
    /^Error: create container web: no guest takes it: a is cordoned, b is lost$|a is cordoned, b is lost$/,
  );
  assert.throws(() => chooseGuest([], 'create container web'), /there is no guest/);
});

test.run();
