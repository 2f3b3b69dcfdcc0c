/**
 * Several containers from one checkpoint: each with a hostname, an address and a machine id of its own, whose
 * clocks go on and whose random numbers are its own.
 */

import * as assert from 'uvu/assert';
import { pollUntil } from '../../platform/deadline.ts';
import { importBash } from '../helpers/bash-image.ts';
import { suite } from '../helpers/suite.ts';
import { type TwoGuests, takeTwoGuests } from '../helpers/two-guests.ts';
import { completed, deadlineOf, endpointOf } from '../helpers/warm-container.ts';

interface World {
  testbed: TwoGuests;
}
const test = suite<World>('clones');
const PORT = 8080;
/** A restore that records waits for faults before it is complete. */
const ONE = { checkpoint: 'one', guest: 'origin', record: false };
/** Guests are not told the time after their boot. */
const CLOCK_SLACK_MS = 60_000;
/** An emulated clock need not run quite as fast as ours. */
const PACE_SLACK_RATIO = 1.1;
/** Lines of random numbers that clones are compared by. */
const LINE_COUNT = 5;

/** Listens at its own address only, and says who and when it is. */
const SERVER = `
const { readFileSync, writeFileSync, openSync, readSync } = require('node:fs');
const os = require('node:os');
const crypto = require('node:crypto');
writeFileSync('/etc/machine-id', 'a'.repeat(32) + '\\n');
const urandom = openSync('/dev/urandom', 'r');
const own = () => os.networkInterfaces().eth0.find(({ family }) => family === 'IPv4').address;
const timers = [];
setInterval(() => timers.push(performance.now()), 50);
require('node:http').createServer((request, response) => {
  if (request.url === '/exit') process.exit(7);
  const bytes = Buffer.alloc(16);
  readSync(urandom, bytes);
  response.end(JSON.stringify({
    hostname: os.hostname(),
    address: own(),
    machineId: readFileSync('/etc/machine-id', 'utf8').trim(),
    kernelRandom: bytes.toString('hex'),
    monotonicMs: Number(process.hrtime.bigint() / 1000000n),
    nowMs: Date.now(),
    timers: timers.length,
  }));
}).listen(${PORT}, own());
`;

interface Identity {
  hostname: string;
  address: string;
  machineId: string;
  kernelRandom: string;
  monotonicMs: number;
  nowMs: number;
  timers: number;
}

test.before(async (context) => {
  context.testbed = await takeTwoGuests();
});
test.after(async ({ testbed }) => await testbed?.stop());

async function ask({ testbed }: World, name: string): Promise<Identity> {
  const { host, port } = await endpointOf(testbed, name);
  const url = `http://${host}:${port}/`;
  const deadlineMs = deadlineOf(testbed);
  const answer = () =>
    fetch(url, { signal: AbortSignal.timeout(deadlineMs) }).then(
      (response) => response.json() as Promise<Identity>,
      () => undefined,
    );
  return await pollUntil(answer, { timeoutMs: deadlineMs, intervalMs: 50, what: `answer of ${name}` });
}

test('clones run beside their origin in one guest, each at an address of its own that its sockets are bound to', async (world) => {
  const { plane } = world.testbed;
  await plane.containers.create({
    name: 'origin',
    guest: 'origin',
    image: 'node',
    entrypoint: ['/usr/bin/node', '-e', SERVER],
    ports: [{ containerPort: PORT }],
  });
  await plane.containers.start('origin');
  const before = await ask(world, 'origin');
  assert.is(before.hostname, 'origin');
  await plane.checkpoints.create({ container: 'origin', id: 'one', after: 'resume' });
  const contents = await plane.checkpoints.contents('one');
  const sockets = contents.processes[0]!.handles.flatMap(({ socket }) => (socket ? [socket] : []));
  assert.is(sockets.find(({ state }) => state === 'listening')!.local, `${before.address}:${PORT}`);

  const first = await plane.restores.create({ ...ONE, name: 'clone-1' });
  const second = await plane.restores.create({ ...ONE, name: 'clone-2', clone: true });
  assert.is(first.clone, true);
  const clones = await Promise.all([ask(world, 'clone-1'), ask(world, 'clone-2')]);
  const origin = await ask(world, 'origin');
  await Promise.all([first, second].map(({ id }) => completed(world.testbed, id)));

  const all = [origin, ...clones];
  assert.equal(
    all.map(({ hostname }) => hostname),
    ['origin', 'clone-1', 'clone-2'],
  );
  for (const key of ['address', 'machineId', 'kernelRandom'] as const) {
    assert.is(new Set(all.map((one) => one[key])).size, 3, `${key}: ${all.map((one) => one[key]).join(' ')}`);
  }
  assert.is(origin.machineId, before.machineId);
  assert.is(clones[0]!.address, (await plane.containers.inspect('clone-1')).address);
});

test('a program that ends before its memory has arrived stays, with its exit code, and its restore is complete', async (world) => {
  const { plane } = world.testbed;
  const { id, phase } = await plane.restores.create({ ...ONE, name: 'brief', policy: 'lazy', clone: true });
  assert.is(phase, 'running', 'pages are still missing');
  const { host, port } = await endpointOf(world.testbed, 'brief');
  await fetch(`http://${host}:${port}/exit`).catch(() => undefined);
  const { exitCode } = await plane.containers.wait('brief');
  assert.is(exitCode, 7);
  await completed(world.testbed, id);
  assert.is((await plane.containers.inspect('brief')).phase, 'stopped');
  await plane.containers.remove('brief');
});

test('the monotonic clock goes on from the checkpoint, timers run, and the time of day is now', async (world) => {
  const { plane } = world.testbed;
  const sinceMs = performance.now();
  const before = await ask(world, 'origin');
  await plane.checkpoints.create({ container: 'origin', id: 'two', after: 'stop' });
  const restore = await plane.restores.create({
    checkpoint: 'two',
    guest: 'target',
    name: 'later',
    clone: true,
    record: false,
  });
  const askedMs = Date.now();
  const after = await ask(world, 'later');
  const [answeredMs, passedMs] = [Date.now(), performance.now() - sinceMs];
  await completed(world.testbed, restore.id);
  const wentOnMs = after.monotonicMs - before.monotonicMs;
  assert.ok(wentOnMs > 0, `it went back by ${-wentOnMs} ms`);
  assert.ok(wentOnMs < passedMs * PACE_SLACK_RATIO, `it went on by ${wentOnMs} ms in ${passedMs} ms`);
  const isNow = after.nowMs > askedMs - CLOCK_SLACK_MS && after.nowMs < answeredMs + CLOCK_SLACK_MS;
  assert.ok(isNow, `the time of day is ${after.nowMs}, not ${askedMs} to ${answeredMs}`);
  await pollUntil(async () => ((await ask(world, 'later')).timers > after.timers ? true : undefined), {
    timeoutMs: deadlineOf(world.testbed),
    intervalMs: 100,
    what: 'timers of the clone',
  });

  // Once more, of a container whose clock has an offset already, back into the first guest.
  const againMs = performance.now();
  const again = await ask(world, 'later');
  await plane.checkpoints.create({ container: 'later', id: 'three', after: 'stop' });
  await plane.restores.create({ checkpoint: 'three', guest: 'origin', name: 'latest', clone: true });
  const latest = await ask(world, 'latest');
  const laterMs = latest.monotonicMs - again.monotonicMs;
  assert.ok(laterMs > 0, `it went back by ${-laterMs} ms`);
  assert.ok(laterMs < (performance.now() - againMs) * PACE_SLACK_RATIO, `it went on by ${laterMs} ms`);
  assert.is(latest.hostname, 'latest');
});

test('clones draw random numbers of their own from the C library, and so do their children', async (world) => {
  const { plane } = world.testbed;
  await importBash(plane);
  // glibc takes them from the vDSO, whose state is in the program's own memory.
  const draw = `for ((i = 0; i < ${LINE_COUNT}; i++)); do echo "drawn $SRANDOM$SRANDOM $(echo $SRANDOM$SRANDOM)"; done`;
  // A clone draws when it is told to: whatever it had drawn before the checkpoint would be every clone's.
  const program = `trap 'told=1' USR1; ${draw}; until [ "$told" ]; do sleep 0.1; done; ${draw}; sleep 100000`;
  await plane.containers.create({
    name: 'dice',
    guest: 'target',
    image: 'bash',
    command: ['-c', program],
  });
  await plane.containers.start('dice');
  const before = await numbersOf(world, 'dice');
  await plane.checkpoints.create({ container: 'dice', id: 'dice', after: 'stop' });
  const names = ['dice-1', 'dice-2', 'dice-3'];
  for (const name of names) {
    await plane.restores.create({ checkpoint: 'dice', guest: 'target', name, clone: true });
    await plane.containers.kill(name, 'SIGUSR1');
  }
  const drawn = [before, ...(await Promise.all(names.map((name) => numbersOf(world, name))))].flat();
  assert.is(drawn.length, (names.length + 1) * LINE_COUNT * 2);
  assert.is(new Set(drawn).size, drawn.length, drawn.join(' '));
});

/** Numbers that a container wrote, all of them. */
async function numbersOf({ testbed }: World, name: string): Promise<string[]> {
  const lines = await pollUntil(
    async () => {
      const found = [...(await testbed.plane.containers.logs(name)).matchAll(/drawn (\d+) (\d+)/g)];
      return found.length >= LINE_COUNT ? found : undefined;
    },
    { timeoutMs: deadlineOf(testbed), intervalMs: 100, what: `numbers of ${name}` },
  );
  return lines.flatMap(([, own, childs]) => [own!, childs!]);
}

test.run();
