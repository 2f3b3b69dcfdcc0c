import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { derive } from '../../../testbed/native/derive-order.ts';

const entries = [5n, 3n, 9n, 1n].map((page, i) => ({ task: 1, vaddr: page << 12n, timeUs: i }));
const pages = (list: readonly { vaddr: bigint }[]) => list.map(({ vaddr }) => Number(vaddr >> 12n));

test('sorted, reversed and random orders hold the same pages', () => {
  assert.equal(pages(derive(entries, 'sorted', [])), [1, 3, 5, 9]);
  assert.equal(pages(derive(entries, 'reversed', [])), [1, 9, 3, 5]);
  const random = derive(entries, 'random', []);
  assert.equal(pages(random).sort(), [1, 3, 5, 9]);
  assert.equal(derive(entries, 'random', []), random, 'the same every time');
});

test('every other page of a stale order comes from another request', () => {
  const other = [2n, 4n, 6n, 8n].map((page, i) => ({ task: 1, vaddr: page << 12n, timeUs: i }));
  assert.equal(pages(derive(entries, 'stale', other)), [5, 4, 9, 8]);
});

test.run();
