import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { betweenMarkers, cell, table } from '../../platform/markdown.ts';

test('a table is a line for the head, one for the border, and one for each row', () => {
  assert.is(table(['a', 'b'], [['1', '2']]), '| a | b |\n| --- | --- |\n| 1 | 2 |');
});

test('a cell is one line, whatever is in it', () => {
  assert.is(cell(' kvm|tcg,\n  or none '), 'kvm\\|tcg, or none');
});

test('what is between the markers is put anew, and a document without them is refused', () => {
  const markers = ['<!-- begin -->', '<!-- end -->'] as const;
  const document = 'before\n<!-- begin -->\nold\n<!-- end -->\nafter\n';
  const once = betweenMarkers(document, markers, 'new\n');
  assert.is(once, 'before\n<!-- begin -->\n\nnew\n\n<!-- end -->\nafter\n');
  assert.is(betweenMarkers(once, markers, 'new'), once);
  assert.throws(() => betweenMarkers('<!-- end --><!-- begin -->', markers, 'new'), /needs the lines/);
});

test.run();
