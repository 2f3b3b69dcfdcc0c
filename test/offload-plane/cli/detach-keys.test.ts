import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createDetachMatcher, parseDetachKeys } from '../../../offload-plane/cli/terminal/detach-keys.ts';

test('keys are written as Docker writes them', () => {
  assert.equal([...parseDetachKeys('ctrl-p,ctrl-q')], [16, 17]);
  assert.equal([...parseDetachKeys('ctrl-@,ctrl-[,ctrl-_,x')], [0, 27, 31, 120]);
  assert.equal([...parseDetachKeys('')], []);
});

test('what is no key is refused by name', () => {
  for (const keys of ['ctrl-', 'ctrl-1', 'alt-x', 'ab', 'ctrl-p,']) {
    assert.throws(() => parseDetachKeys(keys), /detach keys: "/, keys);
  }
});

const [P, Q] = [16, 17];
const matcher = () => createDetachMatcher(parseDetachKeys('ctrl-p,ctrl-q'));

test('the keys detach, typed at once or one by one, and are not passed on', () => {
  assert.equal(matcher()(Buffer.from([97, P, Q])), { forward: Buffer.from('a'), detached: true });
  const feed = matcher();
  assert.equal(feed(Buffer.from([P])), { forward: Buffer.alloc(0), detached: false });
  assert.equal(feed(Buffer.from([Q])), { forward: Buffer.alloc(0), detached: true });
});

test('a beginning of the keys that is not them is passed on late, and whole', () => {
  const feed = matcher();
  assert.is(feed(Buffer.from([P])).forward.length, 0);
  assert.equal([...feed(Buffer.from([97])).forward], [P, 97]);
  assert.equal([...feed(Buffer.from([P, P])).forward], [P]);
  assert.ok(feed(Buffer.from([Q])).detached, 'the second ctrl-p began the keys');
});

test('without keys everything is passed on', () => {
  const feed = createDetachMatcher(parseDetachKeys(''));
  assert.equal(feed(Buffer.from([P, Q])), { forward: Buffer.from([P, Q]), detached: false });
});

test('however keys and typing look, what is passed on and what is held are what was typed', () => {
  const key = fc.constantFrom(1, 2);
  fc.assert(
    fc.property(
      fc.array(key, { minLength: 1, maxLength: 4 }),
      fc.array(fc.array(key, { maxLength: 6 }), { maxLength: 8 }),
      (keys, chunks) => {
        const feed = createDetachMatcher(Buffer.from(keys));
        const typed = chunks.flat();
        const at = Buffer.from(typed).indexOf(Buffer.from(keys));
        const forwarded: number[] = [];
        let detached = false;
        for (const chunk of chunks) {
          const result = feed(Buffer.from(chunk));
          forwarded.push(...result.forward);
          detached = result.detached;
          if (detached) break;
        }
        assert.is(detached, at >= 0);
        const expected = at >= 0 ? typed.slice(0, at) : typed.slice(0, forwarded.length);
        assert.equal(forwarded, expected);
        assert.ok(at >= 0 || typed.length - forwarded.length < keys.length);
      },
    ),
  );
});

test.run();
