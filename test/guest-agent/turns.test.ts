import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createTurns } from '../../guest-agent/turns.ts';

test('actions of one key are done one after the other, in the order of asking, and failures hold up nobody', async () => {
  const inTurn = createTurns<string>();
  const done: string[] = [];
  const gate = Promise.withResolvers<void>();
  const first = inTurn('web', async () => {
    await gate.promise;
    done.push('first');
    throw new Error('first failed');
  });
  const second = inTurn('web', async () => done.push('second'));
  const other = inTurn('other', async () => done.push('other'));
  await other;
  assert.equal(done, ['other']);
  gate.resolve();
  await first.then(
    () => assert.unreachable(),
    (error: Error) => assert.is(error.message, 'first failed'),
  );
  await second;
  assert.equal(done, ['other', 'first', 'second']);
});

test.run();
