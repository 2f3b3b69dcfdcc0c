import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createRequestAnswers } from '../../guest-agent/request-answers.ts';
import { OffloadError } from '../../platform/errors.ts';
import { rejection } from '../helpers/rejection.ts';

const SUBJECT = 'POST /v1/containers/web/start';

/** Acts, and counts how often. */
function counted() {
  const acts = { count: 0 };
  return {
    acts,
    act: async () => {
      acts.count += 1;
      return acts.count;
    },
  };
}

test('a request that is sent again gets the first answer, and nothing is done again', async () => {
  const answers = createRequestAnswers({ nowMs: () => 0 });
  const { act, acts } = counted();
  assert.is(await answers.once('a', SUBJECT, act), 1);
  assert.is(await answers.once('a', SUBJECT, act), 1);
  assert.is(await answers.once('b', SUBJECT, act), 2);
  assert.is(acts.count, 2);
});

test('one that is sent again while the first is worked on waits for its answer', async () => {
  const answers = createRequestAnswers({ nowMs: () => 0 });
  const { promise, resolve } = Promise.withResolvers<string>();
  const first = answers.once('a', SUBJECT, () => promise);
  const second = answers.once('a', SUBJECT, async () => 'done again');
  resolve('done');
  assert.equal(await Promise.all([first, second]), ['done', 'done']);
});

test('a refusal is an answer as well', async () => {
  const answers = createRequestAnswers({ nowMs: () => 0 });
  const refuse = async () => {
    throw new OffloadError('invalid_state', 'start container web: it is running, not created');
  };
  await rejection(answers.once('a', SUBJECT, refuse));
  const again = await rejection(answers.once('a', SUBJECT, async () => 'done'));
  assert.is(again.code, 'invalid_state');
  assert.is(again.message, 'start container web: it is running, not created');
});

test('an id that another request has taken is refused', async () => {
  const answers = createRequestAnswers({ nowMs: () => 0 });
  await answers.once('a', SUBJECT, async () => 1);
  const { act, acts } = counted();
  const error = await rejection(answers.once('a', 'DELETE /v1/containers/web', act));
  assert.is(error.code, 'invalid_request');
  assert.is(error.message, `DELETE /v1/containers/web: request id a was taken before, by ${SUBJECT}`);
  assert.is(acts.count, 0);
});

test('a request without an id is done whenever it comes', async () => {
  const answers = createRequestAnswers({ nowMs: () => 0 });
  const { act } = counted();
  assert.is(await answers.once(undefined, SUBJECT, act), 1);
  assert.is(await answers.once(undefined, SUBJECT, act), 2);
  assert.is(answers.size, 0);
});

test('answers are forgotten when they are old, and the oldest when there are too many', async () => {
  let nowMs = 0;
  const answers = createRequestAnswers({ nowMs: () => nowMs, keptMs: 100, keptAnswers: 3 });
  const slow = Promise.withResolvers<void>();
  const working = answers.once('slow', SUBJECT, () => slow.promise);
  for (let index = 0; index < 50; index += 1) await answers.once(`id-${index}`, SUBJECT, async () => index);
  assert.ok(answers.size <= 5);
  const { act, acts } = counted();
  assert.is(await answers.once('id-49', SUBJECT, act), 49);
  assert.is(await answers.once('id-0', SUBJECT, act), 1);
  nowMs = 100;
  assert.is(await answers.once('id-49', SUBJECT, act), 2);
  const again = answers.once('slow', SUBJECT, act);
  slow.resolve();
  await Promise.all([working, again]);
  assert.is(acts.count, 2);
});

test.run();
