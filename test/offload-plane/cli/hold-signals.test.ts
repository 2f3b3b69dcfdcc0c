import { EventEmitter } from 'node:events';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { undoneBySignal } from '../../../offload-plane/cli/terminal/hold-signals.ts';

class Exit extends Error {}

/** This program, as far as signals to it go. */
const signalled = () => {
  const exit = (code: number) => {
    throw new Exit(String(code));
  };
  return Object.assign(new EventEmitter(), { exit }) as unknown as NodeJS.Process & EventEmitter;
};

test('what was made while nobody interrupted is given, and signals are let go again', async () => {
  const own = signalled();
  const undone: string[] = [];
  const undo = async (made: string) => undone.push(made);
  assert.is(await undoneBySignal(async () => 'web', undo, own), 'web');
  assert.equal(undone, []);
  assert.is(own.listenerCount('SIGINT') + own.listenerCount('SIGTERM'), 0);
});

test('what was made when a signal came is undone before this program ends of it', async () => {
  for (const [signal, exitCode] of [
    ['SIGINT', '130'],
    ['SIGTERM', '143'],
  ] as const) {
    const own = signalled();
    const undone: string[] = [];
    const make = async () => {
      own.emit(signal, signal);
      return 'web';
    };
    const error = await undoneBySignal(make, async (made) => undone.push(made), own).catch(
      (thrown) => thrown,
    );
    assert.instance(error, Exit);
    assert.is(error.message, exitCode);
    assert.equal(undone, ['web']);
  }
});

test('a second signal is not waited with', async () => {
  const own = signalled();
  const made = Promise.withResolvers<string>();
  const work = undoneBySignal(
    () => made.promise,
    async () => undefined,
    own,
  );
  own.emit('SIGINT', 'SIGINT');
  assert.throws(() => own.emit('SIGINT', 'SIGINT'), /^130$/);
  made.reject(new Error('given up'));
  await work.catch(() => undefined);
});

test.run();
