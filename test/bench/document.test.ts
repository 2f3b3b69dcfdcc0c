import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { intoDocument } from '../../bench/document.ts';

const BEGIN = '<!-- restore bench: begin -->';
const END = '<!-- restore bench: end -->';

test('the tables take the place of what was between the markers', () => {
  const document = `before\n${BEGIN}\nold\n${END}\nafter\n`;
  assert.is(intoDocument(document, 'restore', 'new\n'), `before\n${BEGIN}\n\nnew\n\n${END}\nafter\n`);
  assert.is(
    intoDocument(intoDocument(document, 'restore', 'older\n'), 'restore', 'new\n'),
    intoDocument(document, 'restore', 'new\n'),
  );
});

test('a document without the markers of this bench is refused', () => {
  assert.throws(
    () => intoDocument(`${BEGIN}\n${END}`, 'load', 'new'),
    /the document needs the lines <!-- load/,
  );
});

test.run();
