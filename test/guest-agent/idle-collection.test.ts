import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createIdleCollection } from '../../guest-agent/idle-collection.ts';

/** An agent and its clock. */
function agent(collectionMs = 0) {
  let cpuUs = 300_000;
  let due: (() => void) | undefined;
  const seen = { looks: 0, collections: 0 };
  const worked = createIdleCollection({
    collect() {
      seen.collections += 1;
      cpuUs += collectionMs * 1_000;
    },
    cpuUs: () => cpuUs,
    later(look) {
      assert.is(due, undefined, 'one look at a time');
      due = look;
    },
  });
  return {
    seen,
    worked,
    /** Takes so much processor time, and then a look, if one is due. */
    after(ms: number): number {
      cpuUs += ms * 1_000;
      const look = due;
      due = undefined;
      if (look) seen.looks += 1;
      look?.();
      return seen.collections;
    },
  };
}

/** Answers something before each look. */
function collectionsAfter(workMs: readonly number[], collectionMs = 0): number[] {
  const { worked, after } = agent(collectionMs);
  return workMs.map((ms) => {
    worked();
    return after(ms);
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

test('a collection that takes long is followed by another one after ten times as much work', () => {
  assert.equal(collectionsAfter([0, 0, 0], 900), [1, 1, 1]);
  assert.equal(collectionsAfter([0, 8_000, 0, 2_000, 0], 900), [1, 1, 1, 1, 2]);
});

test('an agent that is left alone is not woken, and one that works without requests is looked at until it rests', () => {
  const { seen, worked, after } = agent();
  for (const ms of [400, 400, 0, 0, 0]) after(ms);
  assert.equal(seen, { looks: 3, collections: 1 });
  worked();
  worked();
  for (const ms of [1, 1, 1]) after(ms);
  assert.equal(seen, { looks: 4, collections: 1 });
});

test.run();
