import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { entrySegments, printable } from '../../../offload-plane/images/entry-path.ts';

test('a path below the root is taken apart', () => {
  assert.equal(entrySegments('./a//b/'), ['a', 'b']);
  assert.equal(entrySegments('./'), []);
  assert.equal(entrySegments('..a/b..'), ['..a', 'b..']);
});

test('a path that could lead outside is refused', () => {
  for (const name of ['/etc/passwd', '../x', 'a/../../x', 'a/..', 'a\0b', 'x'.repeat(5000)]) {
    assert.is(entrySegments(name), undefined, name.slice(0, 20));
  }
});

test('whatever is accepted stays below the root', () => {
  const part = fc.constantFrom('..', '.', '', 'a', '/', '\0', 'b/', '../');
  fc.assert(
    fc.property(fc.array(part, { maxLength: 8 }), (parts) => {
      const segments = entrySegments(parts.join('/'));
      assert.not(segments?.some((segment) => ['..', '.', ''].includes(segment) || segment.includes('/')));
    }),
  );
});

test('a name from a stranger is one short line in a message', () => {
  assert.is(printable('a\nb'), '"a\\nb"');
  assert.ok(printable('x'.repeat(500)).length < 130);
});

test.run();
