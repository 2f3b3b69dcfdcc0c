import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { runTool } from '../../../offload-plane/images/run-tool.ts';
import { rejection } from '../../helpers/rejection.ts';
import { tempDirectory, writeScript } from '../../helpers/temp-directory.ts';

const directory = tempDirectory('images');

const program = (name: string, script: string) => writeScript(directory, name, script);

test('what a tool prints comes back', async () => {
  const path = program('prints', 'echo "$1 $FLAVOUR"');
  assert.is(await runTool(path, ['a'], { timeoutMs: 120_000, env: { FLAVOUR: 'b' } }), 'a b\n');
});

test('a tool that fails is named with its last words on one line', async () => {
  const error = await rejection(
    runTool(program('fails', 'echo one >&2; echo two >&2; exit 3'), ['x'], { timeoutMs: 120_000 }),
  );
  assert.is(error.code, 'runtime_failed');
  assert.match(error.message, /fails x: one two$/);
});

test('a full disk has a code of its own', async () => {
  const path = program('full', 'echo "write x: no space left on device" >&2; exit 1');
  assert.is((await rejection(runTool(path, [], { timeoutMs: 120_000 }))).code, 'no_space');
});

test('a tool that is not there is named', async () => {
  const error = await rejection(runTool('no-such-tool-here', [], { timeoutMs: 120_000 }));
  assert.match(error.message, /no-such-tool-here.*No such file/);
});

test('a tool that does not end is killed at its deadline', async () => {
  const error = await rejection(runTool('sleep', ['60'], { timeoutMs: 100 }));
  assert.is(error.code, 'deadline_exceeded');
  assert.is(error.message, 'sleep 60: no end within 100 ms');
});

test('a cancelled tool is ended', async () => {
  const signal = AbortSignal.timeout(50);
  assert.match(
    (await rejection(runTool('sleep', ['60'], { timeoutMs: 120_000, signal }))).message,
    'cancelled',
  );
});

test.run();
