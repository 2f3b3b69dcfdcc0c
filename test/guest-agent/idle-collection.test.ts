import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createIdleCollection } from '../../guest-agent/idle-collection.ts';

/** Looks after each of these amounts of work; gives how often it had collected by then. */
function collectionsAfter(workMs: readonly number[], collectionMs = 0): number[] {
  let [cpuUs, collections] = [300_000, 0];
  const look = createIdleCollection({
    collect() {
      collections += 1;
      cpuUs += collectionMs * 1_000;
    },
    cpuUs: () => cpuUs,
  });
  return workMs.map((ms) => {
    cpuUs += ms * 1_000;
    look();
    return collections;
  });
}

test('what the start has left is collected at the first rest, and then no more while nothing is done', () => {
  assert.equal(collectionsAfter([400, 80, 1, 1, 0]), [0, 0, 1, 1, 1]);
});

test('an agent at work is not held up; it collects when it rests again', () => {
  assert.equal(collectionsAfter([0, 500, 500, 3, 3]), [1, 1, 1, 2, 2]);
});

test('what pings take is not enough for another one', () => {
  assert.equal(collectionsAfter(Array.from({ length: 10 }, () => 10)), Array(10).fill(1));
});

test('a collection that takes long is not followed by another one for it', () => {
  assert.equal(collectionsAfter([0, 0, 0], 900), [1, 1, 1]);
});

test.run();
