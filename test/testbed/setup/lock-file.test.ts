import { spawn } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { processStartTicks } from '../../../platform/processes.ts';
import { withLockFile } from '../../../testbed/setup/lock-file.ts';
import { tempDirectory } from '../../helpers/temp-directory.ts';

const directory = tempDirectory('lock-file');

test('two holders never overlap and the lock is gone afterwards', async () => {
  const path = join(directory, 'a.lock');
  let [holderCount, mostHolders] = [0, 0];
  const work = async () => {
    holderCount += 1;
    mostHolders = Math.max(mostHolders, holderCount);
    await new Promise((resolve) => setImmediate(resolve));
    holderCount -= 1;
  };
  await Promise.all([1, 2, 3].map(() => withLockFile(path, { timeoutMs: 60_000 }, work)));
  assert.is(mostHolders, 1);
  assert.not(existsSync(path));
});

test('the lock of a process that is gone is taken over', async () => {
  const path = join(directory, 'b.lock');
  // This process lives, but has started at another time: a pid in use again.
  writeFileSync(path, JSON.stringify({ pid: process.pid, startTicks: 1 }));
  assert.is(await withLockFile(path, { timeoutMs: 60_000 }, async () => 'mine'), 'mine');
});

test('a lock that is held too long ends in an error that names its holder', async () => {
  const path = join(directory, 'c.lock');
  const holder = spawn('sleep', ['60']);
  try {
    const startTicks = processStartTicks(holder.pid!);
    writeFileSync(path, JSON.stringify({ pid: holder.pid, startTicks }));
    const waits: number[] = [];
    const options = { timeoutMs: 50, onWait: (pid: number) => waits.push(pid) };
    await withLockFile(path, options, async () => assert.unreachable()).then(
      () => assert.unreachable(),
      (error: Error) => assert.match(error.message, `held by process ${holder.pid}`),
    );
    assert.equal(waits, [holder.pid]);
  } finally {
    holder.kill('SIGKILL');
  }
});

test.run();
