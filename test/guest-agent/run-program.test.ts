import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { runProgram } from '../../guest-agent/run-program.ts';
import { rejection } from '../helpers/rejection.ts';
import { tempDirectory, writeScript } from '../helpers/temp-directory.ts';

const directory = tempDirectory('run-program');

const program = (name: string, script: string) => writeScript(directory, name, script);

test('what a program prints comes back', async () => {
  assert.is(await runProgram(program('echo', 'echo "$1 $2"; echo noise >&2'), ['a', 'b c']), 'a b c');
});

test('input and environment reach the program; without input it reads nothing', async () => {
  const path = program('cat', 'cat; echo "$WORD"');
  assert.is(await runProgram(path, [], { input: 'in\n', env: { WORD: 'out' } }), 'in\nout');
  assert.is(await runProgram(path, [], { env: { WORD: 'alone' } }), 'alone');
});

test('a failure names the program and what it said, in one line', async () => {
  const path = program('fail', 'echo before; echo "no such\ncontainer" >&2; exit 3');
  const error = await rejection(runProgram(path, ['start', 'web']));
  assert.is(error.code, 'runtime_failed');
  assert.is(error.message, `${path} start: no such container`);
});

test('a failure in silence says the exit code', async () => {
  const path = program('silent', 'exit 7');
  assert.match((await rejection(runProgram(path, []))).message, /exit code 7/);
});

test('a program that is not there is a failure like any other', async () => {
  const error = await rejection(runProgram(join(directory, 'none'), []));
  assert.is(error.code, 'runtime_failed');
  assert.match(error.message, /ENOENT/);
});

test('a program that takes too long is killed, whatever it does about signals', async () => {
  const path = program('stubborn', "trap '' TERM INT; while :; do sleep 0.05; done");
  const error = await rejection(runProgram(path, ['checkpoint'], { timeoutMs: 50 }));
  assert.is(error.code, 'deadline_exceeded');
  assert.is(error.message, `${path} checkpoint: no end within 50 ms`);
});

test('output without an end is cut off and is a failure', async () => {
  const path = program('yes', 'exec yes');
  assert.is((await rejection(runProgram(path, [], { timeoutMs: 120_000 }))).code, 'runtime_failed');
});

test.run();
