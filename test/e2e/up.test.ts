import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import * as assert from 'uvu/assert';
import { createPlaneClient } from '../../offload-plane/client/index.ts';
import { pollUntil } from '../../platform/deadline.ts';
import { isProcessAlive, processStartTicks } from '../../platform/process-identity.ts';
import type { UpRecord } from '../../testbed/up/record.ts';
import { OFFLOAD_PROGRAM } from '../helpers/offload-program.ts';
import { suite } from '../helpers/suite.ts';
import { tempDirectory } from '../helpers/temp-directory.ts';

/** The README's quick start, as a user types it, beside whatever else is up on this machine. */
const TIMEOUT_MS = 300_000;
/** 20 MiB and more, and a count of those that are right. */
const KEY_COUNT = 50_000;
const WRITE_KEYS = `for i=1,${KEY_COUNT} do redis.call('set', 'k'..i, string.rep(i..'.', 80)) end`;
const COUNT_KEYS = `local n=0 for i=1,${KEY_COUNT} do if redis.call('get', 'k'..i) == string.rep(i..'.', 80) then n=n+1 end end return n`;
const test = suite<{ runs: string; store: string }>('up');

test.before((context) => {
  context.runs = tempDirectory('up');
  context.store = tempDirectory('up-store');
});
test.after(async ({ runs }) => void (await offload(runs, 'down')));

const offload = (runs: string, ...args: string[]) =>
  execa(process.execPath, [OFFLOAD_PROGRAM, ...args], {
    reject: false,
    timeout: TIMEOUT_MS,
    env: { FORCE_COLOR: '0', OFFLOAD_RUN_DIRECTORY: runs },
  });

async function answerOf(runs: string, ...args: string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await offload(runs, ...args);
  assert.is(exitCode, 0, `offload ${args.join(' ')}: ${stderr}`);
  return stdout;
}

const until = (what: string, condition: () => Promise<boolean>, intervalMs = 250) =>
  pollUntil(async () => (await condition()) || undefined, { timeoutMs: 300_000, intervalMs, what });

const recordOf = async (runs: string) => JSON.parse(await answerOf(runs, 'status', '--json')) as UpRecord;

const untilNextPlane = (runs: string, killedPid: number) =>
  until('another plane', async () => {
    const { phase, planePid } = await recordOf(runs);
    return phase === 'ready' && planePid !== killedPid;
  });

test('up brings up guests, a plane and images, and a second one says that it is up', async ({
  runs,
  store,
}) => {
  const flags = ['--guests', '2', '--memory-mib', '768', '--vcpus', '1', '--store', store];
  assert.match(
    await answerOf(runs, 'up', ...flags, '--demo-images'),
    /Dashboard: http:\/\/127\.0\.0\.1:\d+\/#token=/,
  );
  const before = await recordOf(runs);
  assert.match(await answerOf(runs, 'up'), /are up\./);
  assert.equal((await recordOf(runs)).supervisor, before.supervisor);
  assert.match(await answerOf(runs, 'images'), /redis/);
});

test('a container runs, speaks, is checkpointed, and goes on in the other guest', async ({ runs }) => {
  await answerOf(runs, 'run', '-d', '--name', 'cache', '--guest', 'guest-a', 'redis');
  assert.match(await answerOf(runs, 'ps'), /cache .* Up /);
  await until('an answer of redis', async () => {
    const { stdout } = await offload(runs, 'exec', 'cache', 'redis-cli', 'set', 'greeting', 'hello');
    return stdout === 'OK';
  });
  assert.match(await answerOf(runs, 'logs', 'cache'), /Ready to accept connections/);
  await answerOf(runs, 'exec', 'cache', 'redis-cli', 'eval', WRITE_KEYS, '0');
  await answerOf(runs, 'checkpoint', '--stop', 'cache', 'warm');
  await answerOf(runs, 'rm', 'cache');
  await answerOf(runs, 'restore', 'warm', '--name', 'first', '--guest', 'guest-b');
  assert.is(await answerOf(runs, 'exec', 'first', 'redis-cli', 'get', 'greeting'), 'hello');
  await answerOf(runs, 'rm', '-f', 'first');
});

test('run in the foreground ends with the exit code of what ran', async ({ runs }) => {
  const { exitCode, stdout } = await offload(
    ...([runs, 'run', '--rm', '--entrypoint', 'redis-cli', 'redis', '--version'] as const),
  );
  assert.is(exitCode, 0);
  assert.match(stdout, /^redis-cli /);
  assert.not.match(await answerOf(runs, 'ps', '-aq'), /\n/);
});

test('a plane that is killed while pages of a restore are on their way is started again, and the restore goes on', async ({
  runs,
}) => {
  const { planePid = -1, socketPath } = await recordOf(runs);
  const plane = createPlaneClient({ socketPath });
  const request = {
    checkpoint: 'warm',
    name: 'again',
    guest: 'guest-b',
    policy: 'lazy',
    record: true,
  } as const;
  const { id } = await plane.restores.create(request);
  // Most pages wait until no fault has come for a while.
  process.kill(planePid, 'SIGKILL');
  await plane.close();
  await untilNextPlane(runs, planePid);
  assert.match(await answerOf(runs, 'ps'), /again .* Up /);
  assert.is(await answerOf(runs, 'exec', 'again', 'redis-cli', 'get', 'greeting'), 'hello');
  const next = createPlaneClient({ socketPath });
  await until('every page', async () => (await next.restores.inspect(id)).phase === 'complete');
  const { takeoverCount, pagesVerified, totalPageCount, recordedFaultCount } =
    await next.restores.inspect(id);
  assert.equal({ takeoverCount, pagesVerified }, { takeoverCount: 1, pagesVerified: true });
  assert.ok(totalPageCount > 5_000, `${totalPageCount} pages`);
  assert.ok((recordedFaultCount ?? 0) > 0, 'it goes on recording');
  assert.is(await answerOf(runs, 'exec', 'again', 'redis-cli', 'eval', COUNT_KEYS, '0'), String(KEY_COUNT));
  const { memory } = await next.restores.compareMemory(id);
  // What the program has not written to since is the checkpoint's, byte for byte.
  assert.is(memory?.changed, memory?.softDirtyChanged);
  await next.close();
});

test('a plane that is killed while it drains a guest and takes a checkpoint leaves each container running, once', async ({
  runs,
}) => {
  const { planePid = -1, socketPath, guests } = await recordOf(runs);
  const { pid: guestPid } = guests.find(({ name }) => name === 'guest-a')!;
  const plane = createPlaneClient({ socketPath });
  for (const [name, guest] of Object.entries({ beside: 'guest-b', other: 'guest-a' })) {
    await plane.containers.create({ name, guest, image: 'redis' });
    await plane.containers.start(name);
  }
  // Nobody reads it: it is under way until its plane is killed.
  const exported = (await plane.checkpoints.export('warm')).on('error', () => {});
  const draining = plane.guests.drain('guest-b').catch((error: Error) => error);
  const isMoving = async () =>
    (await plane.containers.list()).some(({ guest, phase }) => guest === 'guest-a' && phase === 'restoring');
  await until('a container on its way', isMoving, 10);
  // The guest that has to do both stands still: neither is over before the plane is killed.
  process.kill(guestPid, 'SIGSTOP');
  const request = { container: 'other', id: 'cut', after: 'resume', preDumpRounds: 2 } as const;
  const taking = plane.checkpoints.create(request).catch((error: Error) => error);
  try {
    const isUnderWay = async () => (await plane.operations.list()).some(({ subject }) => subject === 'other');
    await until('a checkpoint under way', isUnderWay, 10);
    process.kill(planePid, 'SIGKILL');
  } finally {
    process.kill(guestPid, 'SIGCONT');
  }
  for (const call of [draining, taking]) assert.instance(await call, Error);
  exported.destroy();
  await plane.close();
  await untilNextPlane(runs, planePid);

  const next = createPlaneClient({ socketPath });
  const state = async () =>
    (await next.containers.list()).map(({ name, phase }) => `${name} ${phase}`).sort();
  await until(
    'each of them',
    async () => `${await state()}` === 'again running,beside running,other running',
  );
  const ended = async () => (await next.operations.list()).filter(({ phase }) => phase !== 'running');
  const endOf = async (wanted: string) =>
    (await ended()).find(({ kind, subject }) => `${kind} ${subject}` === wanted);
  await until('the end of what was under way', async () => (await endOf('checkpoint other')) !== undefined);
  for (const cut of ['drain guest-b', 'export warm']) {
    assert.is((await endOf(cut))?.error?.code, 'interrupted', cut);
  }
  const isStored = (await next.checkpoints.list()).some(({ id }) => id === 'cut');
  assert.is((await endOf('checkpoint other'))?.phase, isStored ? 'succeeded' : 'failed');

  // What was left of it is done when it is asked for again.
  const { stopped, left } = await next.guests.drain('guest-b');
  assert.equal([stopped, left], [[], []]);
  const homes = (await next.containers.list()).map(({ name, guest }) => `${name} in ${guest}`);
  assert.equal(homes.sort(), ['again in guest-a', 'beside in guest-a', 'other in guest-a']);
  assert.is(await answerOf(runs, 'exec', 'again', 'redis-cli', 'eval', COUNT_KEYS, '0'), String(KEY_COUNT));
  await next.close();
});

test('down leaves no process and no file, but the store', async ({ runs, store }) => {
  const { supervisor, planePid, guests } = await recordOf(runs);
  const pids = [supervisor.pid, planePid ?? -1, ...guests.map(({ pid }) => pid)];
  const processes = pids.map((pid) => ({ pid, startTicks: processStartTicks(pid) ?? -1 }));
  await answerOf(runs, 'down');
  for (const { pid, startTicks } of processes) assert.not(isProcessAlive(pid, startTicks));
  assert.equal(readdirSync(runs), []);
  assert.ok(existsSync(join(store, 'images')));
});

test.run();
