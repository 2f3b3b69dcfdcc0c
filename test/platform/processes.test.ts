import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  isProcessAlive,
  lastLines,
  processStartTicks,
  runProcess,
  startProcess,
} from '../../platform/processes.ts';
import { failure } from '../helpers/rejection.ts';
import { tempDirectory } from '../helpers/temp-directory.ts';

const directory = tempDirectory('processes');

test('standard output of a run comes back, and every line is told', async () => {
  const lines: string[] = [];
  const output = await runProcess('sh', ['-c', 'echo a; echo b >&2; echo c'], {
    onLine: (line) => lines.push(line),
  });
  assert.is(output, 'a\nc');
  assert.equal(lines.sort(), ['a', 'b', 'c']);
});

test('a failed run says in one line what ran, how it ended and its last words', async () => {
  assert.is(
    await failure(runProcess('sh', ['-c', 'echo oh >&2; echo no >&2; exit 3'])),
    'sh: exit code 3: oh | no',
  );
});

test('a run that takes too long is killed', async () => {
  assert.is(await failure(runProcess('sleep', ['60'], { timeoutMs: 30 })), 'sleep: took longer than 30 ms');
});

test('a started process logs to its file and its end is told', async () => {
  const logPath = join(directory, 'log');
  const child = startProcess('sh', ['-c', 'echo out; echo err >&2; exit 4'], { logPath });
  assert.equal(await child.exited, { exitCode: 4, signal: undefined });
  assert.is(readFileSync(logPath, 'utf8'), 'out\nerr\n');
  assert.not(child.isRunning());
});

test('a killed process names its signal and is no longer alive', async () => {
  const child = startProcess('sleep', ['60']);
  assert.ok(isProcessAlive(child.pid, child.startTicks));
  child.kill('SIGKILL');
  assert.is((await child.exited).signal, 'SIGKILL');
  assert.not(isProcessAlive(child.pid, child.startTicks));
});

test('a pid with another start time is another process', () => {
  const startTicks = processStartTicks(process.pid)!;
  assert.ok(isProcessAlive(process.pid, startTicks));
  assert.not(isProcessAlive(process.pid, startTicks + 1));
});

test('the last lines leave out empty ones', () => {
  assert.is(lastLines('a\nb\n\n c \n\n', 2), 'b | c');
});

test.run();
