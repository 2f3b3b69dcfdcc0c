import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { appendLines, MAX_LINES } from '../../../../offload-plane/dashboard/page/log-lines.ts';

test('text that comes in pieces becomes the lines it had', () => {
  const lines = ['a\nb', 'c\r\nd', '\n', 'e'].reduce(appendLines, [] as string[]);
  assert.equal(lines, ['a', 'bc', 'd', 'e']);
});

test('colours and other orders to a terminal are left out', () => {
  assert.equal(appendLines([], '\x1b[1;31mred\x1b[0m \x1b]0;title\x07plain'), ['red plain']);
});

test('an output without end keeps its last lines, and of an endless line its end', () => {
  const many = appendLines([], 'x\n'.repeat(MAX_LINES * 2));
  assert.is(many.length, MAX_LINES);
  let [line] = appendLines([], 'a'.repeat(10_000));
  for (let i = 0; i < 100; i += 1) [line] = appendLines([line!], 'b'.repeat(10_000));
  assert.ok(line!.length <= 16_384);
});

test.run();
