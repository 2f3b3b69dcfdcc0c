import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { pollUntil } from '../../../platform/deadline.ts';
import { isProcessAlive, processStartTicks } from '../../../platform/processes.ts';
import { mountsBelow } from '../../../testbed/qemu/mounts.ts';
import { createRunDirectory, sweepStaleRuns } from '../../../testbed/qemu/run-directory.ts';
import { tempDirectory } from '../../helpers/temp-directory.ts';

const base = tempDirectory('runs');
const directories = { runsDirectory: join(base, 'runs'), scratchDirectory: join(base, 'scratch') };

/** The sleeping child as it is recorded: its pid stays the same when setpriv becomes sleep. */
function recordsIn(path: string) {
  return readdirSync(join(path, 'children')).map(
    (name) =>
      JSON.parse(readFileSync(join(path, 'children', name), 'utf8')) as { pid: number; startTicks: number },
  );
}

/** A run as `kill -9` of its owner leaves it, with a child that got away. */
function makeStaleRun(child: { pid: number; startTicks: number }): string {
  const path = join(directories.runsDirectory, `${process.pid}-1-1`);
  mkdirSync(join(path, 'children'), { recursive: true });
  writeFileSync(join(path, 'children', `${child.pid}.json`), JSON.stringify({ name: 'child', ...child }));
  mkdirSync(join(directories.scratchDirectory, `${process.pid}-1-1`), { recursive: true });
  return path;
}

test('a child is recorded as it starts and ended when the run is removed', async () => {
  const run = createRunDirectory(directories);
  const child = run.startChild('sleeper', 'sleep', ['60']);
  assert.equal(recordsIn(run.path), [{ name: 'sleeper', pid: child.pid, startTicks: child.startTicks }]);
  await run.remove();
  assert.not(isProcessAlive(child.pid, child.startTicks));
  assert.not(existsSync(run.path));
  assert.not(existsSync(run.scratchPath));
});

test('a sweep ends the child of an owner that is gone and deletes its directories', async () => {
  const child = spawn('sleep', ['60']);
  const startTicks = processStartTicks(child.pid!)!;
  const path = makeStaleRun({ pid: child.pid!, startTicks });
  assert.equal(await sweepStaleRuns(directories), { runCount: 1, killedCount: 1 });
  assert.not(isProcessAlive(child.pid!, startTicks));
  assert.not(existsSync(path));
  assert.equal(readdirSync(directories.scratchDirectory), []);
});

test('a sweep spares a process that got the pid of a child later', async () => {
  const child = spawn('sleep', ['60']);
  const startTicks = processStartTicks(child.pid!)!;
  makeStaleRun({ pid: child.pid!, startTicks: startTicks - 1 });
  assert.equal(await sweepStaleRuns(directories), { runCount: 1, killedCount: 0 });
  assert.ok(isProcessAlive(child.pid!, startTicks));
  child.kill('SIGKILL');
});

test('a sweep leaves the run of a living owner alone', async () => {
  const run = createRunDirectory(directories);
  assert.equal(await sweepStaleRuns(directories), { runCount: 0, killedCount: 0 });
  assert.ok(existsSync(run.path));
  await run.remove();
});

test('kill -9 of the owner takes its children along at once', async () => {
  const module = new URL('../../../testbed/qemu/run-directory.ts', import.meta.url).href;
  const code = `
    import { createRunDirectory } from ${JSON.stringify(module)};
    const run = createRunDirectory(${JSON.stringify(directories)});
    const child = run.startChild('sleeper', 'sleep', ['60']);
    console.log(JSON.stringify({ pid: child.pid, startTicks: child.startTicks }));
    setInterval(() => {}, 1000);`;
  const owner = spawn(process.execPath, ['--input-type=module', '-e', code]);
  const line = await new Promise<string>((resolve) =>
    owner.stdout.once('data', (data) => resolve(String(data))),
  );
  const child = JSON.parse(line) as { pid: number; startTicks: number };
  // setpriv has to have asked for the signal before its parent dies.
  const isSleep = () => readFileSync(`/proc/${child.pid}/comm`, 'utf8').trim() === 'sleep' || undefined;
  await pollUntil(isSleep, { timeoutMs: 60_000, intervalMs: 5, what: 'child runs' });
  owner.kill('SIGKILL');
  const isGone = () => !isProcessAlive(child.pid, child.startTicks) || undefined;
  await pollUntil(isGone, { timeoutMs: 60_000, intervalMs: 5, what: 'child ends' });
  const isOwnerGone = () => processStartTicks(owner.pid!) === undefined || undefined;
  await pollUntil(isOwnerGone, { timeoutMs: 60_000, intervalMs: 5, what: 'owner ends' });
  assert.is((await sweepStaleRuns(directories)).runCount, 1);
  assert.equal(readdirSync(directories.runsDirectory), []);
});

test('a path that does not fit a Unix socket address is refused', async () => {
  const run = createRunDirectory(directories);
  assert.throws(() => run.file('x'.repeat(96)), /too long for a Unix socket/);
  await run.remove();
});

test('mounts below a directory are listed the deepest first, with blanks decoded', () => {
  const mounts = 'a /r tmpfs rw 0 0\nb /r/x\\040y tmpfs rw 0 0\nc /run tmpfs rw 0 0\n';
  assert.equal(mountsBelow('/r', mounts), ['/r/x y', '/r']);
});

test.run();
