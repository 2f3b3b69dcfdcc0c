import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { pollUntil, withDeadline } from '../../platform/deadline.ts';
import { rejection } from '../helpers/rejection.ts';

const never = new Promise<never>(() => {});

test('a promise in time gives its value, and its failure as it is', async () => {
  assert.is(await withDeadline(Promise.resolve(7), 10_000, 'wait'), 7);
  const failure = new Error('own');
  const caught = await withDeadline(Promise.reject(failure), 10_000, 'wait').catch((error) => error);
  assert.is(caught, failure);
});

test('a promise that takes too long ends with what was waited for, and how long', async () => {
  const error = await rejection(withDeadline(never, 10, 'restore web: wait for the pager'));
  assert.is(error.code, 'deadline_exceeded');
  assert.is(error.message, 'restore web: wait for the pager: no answer within 10 ms');
});

test('a wait that is over leaves no timer behind', async () => {
  await withDeadline(Promise.resolve(), 60_000, 'wait');
  assert.not(process.getActiveResourcesInfo().includes('Timeout'));
});

test('polling goes on through undefined and errors until there is a value', async () => {
  const answers = [() => undefined, () => Promise.reject(new Error('not yet')), () => 0];
  const value = await pollUntil(() => answers.shift()!() as number | undefined, {
    timeoutMs: 10_000,
    intervalMs: 1,
    what: 'poll',
  });
  assert.is(value, 0);
});

test('polling looks once more when its time has passed while nothing could run', async () => {
  let looks = 0;
  const attempt = () => {
    if (++looks === 2) return true;
    // As a machine that pauses does.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
    return undefined;
  };
  assert.is(await pollUntil(attempt, { timeoutMs: 20, intervalMs: 1, what: 'poll' }), true);
});

test('polling in vain says what it waited for and the last error', async () => {
  const attempt = () => Promise.reject(new Error('refused'));
  const error = await rejection(pollUntil(attempt, { timeoutMs: 20, intervalMs: 1, what: 'reach agent' }));
  assert.is(error.code, 'deadline_exceeded');
  assert.is(error.message, 'reach agent: not within 20 ms (refused)');
  assert.is((error.cause as Error).message, 'refused');
});

test.run();
