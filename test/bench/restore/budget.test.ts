import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openBudget } from '../../../bench/restore/budget.ts';
import { inRounds } from '../../../bench/restore/interleave.ts';

function clock() {
  let now = 0;
  return { nowMs: () => now, pass: (ms: number) => (now += ms) };
}

test('a budget has room for what ends before it does', () => {
  const { nowMs, pass } = clock();
  const budget = openBudget(100, nowMs);
  pass(60);
  assert.ok(budget.hasRoomFor(40));
  assert.not.ok(budget.hasRoomFor(41));
  assert.is(budget.tookMs, 60);
});

test('time that one piece does not use falls to the later ones', () => {
  const { nowMs, pass } = clock();
  const budget = openBudget(100, nowMs);
  const first = budget.share(2);
  assert.ok(first.hasRoomFor(50));
  assert.not.ok(first.hasRoomFor(51));
  pass(10);
  assert.ok(budget.share(1).hasRoomFor(90));
});

test('rounds end when the budget has no room for another, and it is noted', async () => {
  const { nowMs, pass } = clock();
  const budget = openBudget(100, nowMs);
  let count = 0;
  await inRounds({ what: 'case', repetitions: 5, budget: budget.share(1), say: () => {} }, async () => {
    count += 1;
    pass(60);
  });
  assert.is(count, 2);
  assert.equal(budget.cuts, ['case: 2 of 5 rounds']);
});

test('one round is always taken', async () => {
  const { nowMs, pass } = clock();
  const budget = openBudget(100, nowMs);
  pass(200);
  let count = 0;
  await inRounds({ what: 'case', repetitions: 5, budget, say: () => {} }, async () => {
    count += 1;
  });
  assert.is(count, 1);
});

test.run();
