import { randomBytes } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createOperations } from '../../../offload-plane/operations/operations.ts';
import { OffloadError } from '../../../platform/errors.ts';
import { rejection } from '../../helpers/rejection.ts';
import { openState } from '../../helpers/state.ts';

function world(path?: string) {
  const state = openState(path);
  return { ...state, operations: createOperations({ ...state, nowMs: () => Date.now(), randomBytes }) };
}
const PULL = { kind: 'pull', subject: 'redis' };

test('an operation tells how far it is, and in the end what the call would have answered', async () => {
  const { database, operations } = world();
  const gate = Promise.withResolvers<void>();
  const { operation, done } = operations.start(PULL, async ({ progress }) => {
    progress('layers', 0.5);
    await gate.promise;
    return { digest: 'sha256:1' };
  });
  assert.is(operation.phase, 'running');
  assert.equal(operations.get(operation.id).progress, { text: 'layers', fraction: 0.5 });
  const events: string[] = [];
  const followed = (async () => {
    for await (const { phase, progress } of operations.events(operation.id, new AbortController().signal)) {
      events.push(`${phase} ${progress.text}`);
    }
  })();
  gate.resolve();
  assert.equal(await done, { digest: 'sha256:1' });
  await followed;
  assert.equal(events, ['running started', 'running layers', 'succeeded layers']);
  const ended = operations.get(operation.id);
  assert.is(ended.phase, 'succeeded');
  assert.equal(ended.result, { digest: 'sha256:1' });
  assert.ok(ended.endedAt);
  database.close();
});

test('one that fails says why; one that is cancelled has undone its work before it says so', async () => {
  const { database, operations } = world();
  const failed = operations.start(PULL, async () => {
    throw new OffloadError('no_space', 'the store is full');
  });
  assert.is((await rejection(failed.done)).code, 'no_space');
  assert.equal(operations.get(failed.operation.id).error, { code: 'no_space', message: 'the store is full' });

  let undone = false;
  const long = operations.start(PULL, async ({ signal }) => {
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
    undone = true;
    throw new Error('stopped in the middle');
  });
  operations.cancel(long.operation.id);
  const error = await rejection(long.done);
  assert.is(error.code, 'cancelled');
  assert.ok(undone);
  assert.is(operations.get(long.operation.id).phase, 'cancelled');
  assert.is(
    (await rejection((async () => operations.cancel(long.operation.id))())).message,
    `cancel operation ${long.operation.id}: it has cancelled, it is not running`,
  );
  database.close();
});

test('what was under way when the plane was killed is on record as interrupted, what had ended as it ended', async () => {
  const first = world();
  const { operation: done, done: result } = first.operations.start(PULL, async () => 'ok');
  await result;
  const { operation: cut } = first.operations.start(PULL, () => new Promise(() => {}));
  first.database.close();
  const { database, operations } = world(first.path);
  operations.interruptRest();
  assert.is(operations.get(done.id).result, 'ok');
  assert.is(operations.get(cut.id).phase, 'failed');
  assert.is(operations.get(cut.id).error?.code, 'interrupted');
  assert.is(operations.list().length, 2);
  database.close();
});

test('one that was taken up runs on until it is told what became of its work, and cannot be cancelled', async () => {
  const first = world();
  const { operation } = first.operations.start(PULL, () => new Promise(() => {}));
  const { operation: other } = first.operations.start(PULL, () => new Promise(() => {}));
  first.database.close();
  const { database, operations } = world(first.path);
  operations.takeUp(operation.id);
  operations.interruptRest();
  assert.is(operations.get(operation.id).phase, 'running');
  assert.is(operations.get(other.id).phase, 'failed');
  const error = await rejection((async () => operations.cancel(operation.id))());
  assert.is(error.code, 'invalid_state');
  const events: string[] = [];
  const followed = (async () => {
    for await (const { phase } of operations.events(operation.id, new AbortController().signal)) {
      events.push(phase);
    }
  })();
  operations.endLeft(operation.id, { result: 'done' });
  operations.endLeft(operation.id, { error: new OffloadError('no_space', 'twice') });
  await followed;
  assert.equal(events, ['running', 'succeeded']);
  assert.is(operations.get(operation.id).result, 'done');
  database.close();
});

test('of the work of an operation it is told which that is, of a part of it nothing', async () => {
  const { database, operations } = world();
  const { operation, done } = operations.start(PULL, async () => [
    operations.currentOf('pull'),
    operations.currentOf('checkpoint'),
  ]);
  assert.equal(await done, [operation.id, undefined]);
  assert.is(operations.currentOf('pull'), undefined);
  database.close();
});

test('only so many ended operations are remembered, the oldest go first', async () => {
  const first = world();
  const ids: string[] = [];
  for (let i = 0; i < 1_003; i += 1) {
    const { operation, done } = first.operations.start(PULL, async () => i);
    ids.push(operation.id);
    await done;
  }
  assert.is(first.operations.list().length, 1_000);
  assert.is((await rejection((async () => first.operations.get(ids[2]!))())).code, 'not_found');
  first.database.close();
  const { database, operations } = world(first.path);
  assert.is(operations.list().length, 1_000);
  database.close();
});

test.run();
