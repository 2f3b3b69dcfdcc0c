/** Dumps on top of dumps: what the agent keeps, for how long, and what it refuses. */
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { containerPaths } from '../../guest-agent/paths.ts';
import type { CheckpointRequest } from '../../interconnect/agent-api.ts';
import { acceptDump } from '../../interconnect/dump-stream.ts';
import { receiveDump } from '../../offload-plane/page-server/receive-dump.ts';
import { type AgentWorld, createAgentWorld, makeCgroup } from '../helpers/agent-world.ts';
import { CONTAINER_SPEC } from '../helpers/container-spec.ts';
import {
  dumpRequest,
  GIVE_UP,
  LATER_TOKEN,
  PATIENT_MS,
  RESUME,
  STOP,
  TOKEN,
} from '../helpers/dump-requests.ts';
import { rejection } from '../helpers/rejection.ts';
import { until } from '../helpers/until.ts';
import { makeStore } from '../offload-plane/page-store/fixture.ts';

const TRACKED = dumpRequest(PATIENT_MS, { track: true });
const ON_TOP: CheckpointRequest = { ...TRACKED, token: LATER_TOKEN, parent: TOKEN };
const PRE_DUMP = { token: TOKEN, deadlineMs: PATIENT_MS };

async function runningContainer(): Promise<AgentWorld & { own: ReturnType<typeof containerPaths> }> {
  const world = await createAgentWorld('tracked');
  await world.agent.containers.create(CONTAINER_SPEC);
  await world.agent.containers.start('web');
  return { ...world, own: containerPaths(world.paths, 'web') };
}

/** The agent's call, and the plane's half of it. */
async function withPlane<T>(world: AgentWorld, call: Promise<T>): Promise<T> {
  const count = world.dialled.length;
  await until('the agent dials the plane', () => world.dialled.length > count);
  const { store, remove } = await makeStore();
  try {
    const { stream } = await acceptDump(world.dialled.at(-1)!, { tokenDeadlineMs: PATIENT_MS });
    await receiveDump(stream, await store.begin('warm'), { idleDeadlineMs: PATIENT_MS });
    return await call;
  } finally {
    await remove();
  }
}

const take = (world: AgentWorld, request: CheckpointRequest) =>
  withPlane(world, world.agent.checkpoints.begin('web', request));
const preDump = (world: AgentWorld, parent?: string) =>
  withPlane(
    world,
    world.agent.checkpoints.preDump('web', { ...PRE_DUMP, ...(parent === undefined ? {} : { parent }) }),
  );
const dumps = (world: AgentWorld) => world.crunCalls().filter((call) => call.startsWith('checkpoint'));
/** What CRIU was told at the last dump. */
const configOf = (world: { own: { criuConfig: string } }) => readFileSync(world.own.criuConfig, 'utf8');
const UNTRACKED = 'checkpoint container web: its changes are not tracked since the dump it is to build on';

test('a committed dump that was tracked can be built on, with its inventory and nothing else of it', async () => {
  const world = await runningContainer();
  const { checkpoints } = world.agent;
  await take(world, TRACKED);
  await checkpoints.finish('web', RESUME);
  assert.equal(readdirSync(world.own.parentImages), ['inventory.img']);
  assert.not(existsSync(world.own.dumpImages));
  assert.not(configOf(world).includes('prev-images-dir'));
  await take(world, ON_TOP);
  await checkpoints.finish('web', RESUME);
  assert.match(configOf(world), /^prev-images-dir \.\.\/parent$/m);
});

test('one that was not tracked, not committed, or not the last cannot, and the container is not touched', async () => {
  for (const [first, end] of [
    [dumpRequest(), RESUME],
    [TRACKED, GIVE_UP],
    [{ ...TRACKED, token: LATER_TOKEN }, RESUME],
  ] as const) {
    const world = await runningContainer();
    const { checkpoints, containers } = world.agent;
    await take(world, first);
    await checkpoints.finish('web', end);
    const error = await rejection(checkpoints.begin('web', ON_TOP));
    assert.is(error.code, 'invalid_state');
    assert.is(error.message, UNTRACKED);
    assert.is(
      (await rejection(checkpoints.preDump('web', { ...PRE_DUMP, parent: TOKEN }))).message,
      UNTRACKED,
    );
    assert.is(containers.inspect('web').phase, 'running');
    assert.is(world.crunCalls().filter((call) => call === 'pause web').length, 1);
    assert.is(existsSync(world.own.parentImages), first === TRACKED ? false : first.track);
  }
});

test('a dump that fails, or whose lease ends, can not be built on any more, nor what was before it', async () => {
  for (const fails of [true, false]) {
    const world = await runningContainer();
    const { checkpoints, containers } = world.agent;
    await take(world, TRACKED);
    await checkpoints.finish('web', RESUME);
    if (fails) {
      writeFileSync(join(world.own.bundle, 'criu-fails'), '');
      await rejection(checkpoints.begin('web', ON_TOP));
    } else {
      await take(world, ON_TOP);
      world.leases.at(-1)?.end();
      await until('the lease ends', () => containers.inspect('web').phase === 'running');
    }
    assert.is(containers.inspect('web').phase, 'running');
    await until('nothing is kept', () => !existsSync(world.own.parentImages));
    for (const parent of [TOKEN, LATER_TOKEN]) {
      assert.is((await rejection(checkpoints.begin('web', { ...ON_TOP, parent }))).message, UNTRACKED);
    }
  }
});

test('pre-dumps follow each other and the dump follows them, and only that one freezes', async () => {
  const world = await runningContainer();
  const { checkpoints, containers } = world.agent;
  const { dumpMs, frozenMs } = await preDump(world);
  assert.ok(dumpMs > 0);
  assert.is(frozenMs, 301.5);
  assert.not(configOf(world).includes('prev-images-dir'));
  await preDump(world, TOKEN);
  assert.match(configOf(world), /^prev-images-dir /m);
  assert.is(containers.inspect('web').phase, 'running');
  assert.not(world.crunCalls().includes('pause web'));
  assert.not(existsSync(world.own.dumpImages));
  await take(world, { ...ON_TOP, track: false });
  assert.match(configOf(world), /^prev-images-dir /m);
  assert.equal(
    dumps(world).map((call) => call.split(' ')[1]),
    ['--pre-dump', '--pre-dump', '--leave-running'],
  );
  assert.is(world.crunCalls().filter((call) => call === 'pause web').length, 1);
  await checkpoints.finish('web', RESUME);
});

test('a pre-dump that fails leaves the container running, and nothing of it', async () => {
  const world = await runningContainer();
  const { checkpoints, containers } = world.agent;
  await preDump(world);
  writeFileSync(join(world.own.bundle, 'criu-fails'), '');
  const error = await rejection(checkpoints.preDump('web', { ...PRE_DUMP, parent: TOKEN }));
  assert.is(error.message, 'pre-dump container web: Error (criu/mem.c:1): no memory for this');
  assert.is(containers.inspect('web').phase, 'running');
  assert.not(existsSync(world.own.dumpImages));
  assert.not(existsSync(world.own.parentImages));
  assert.not(world.crunCalls().some((call) => /^(pause|resume) web$/.test(call)));
});

test('while it is pre-dumped a container is neither checkpointed nor ended for a checkpoint, and giving up ends it', async () => {
  const world = await runningContainer();
  const { checkpoints, containers } = world.agent;
  const beginning = rejection(checkpoints.preDump('web', PRE_DUMP));
  await until('the agent dials the plane', () => world.dialled.length > 0);
  const { stream: unread } = await acceptDump(world.dialled[0]!, { tokenDeadlineMs: PATIENT_MS });
  const busy = await rejection(checkpoints.begin('web', TRACKED));
  assert.is(busy.message, 'checkpoint container web: it is checkpointing, not running');
  const alive = await rejection(checkpoints.finish('web', STOP));
  assert.is(alive.message, 'stop after checkpoint of container web: it is not frozen');
  assert.is(await checkpoints.finish('web', GIVE_UP), 0);
  assert.is((await beginning).code, 'runtime_failed');
  assert.is(containers.inspect('web').phase, 'running');
  assert.not(world.crunCalls().includes('resume web'));
  unread.destroy();
});

test('everything is sent again once a task has begun another program', async () => {
  const world = await runningContainer();
  const { checkpoints } = world.agent;
  const task = spawn('sh', ['-c', 'read go; exec cat'], { stdio: 'pipe' });
  try {
    writeFileSync(join(makeCgroup(world, 'web'), 'cgroup.procs'), `${task.pid}\n`);
    for (const begins of [false, true]) {
      await take(world, { ...TRACKED, token: TOKEN });
      await checkpoints.finish('web', RESUME);
      if (begins) {
        task.stdin.write('\n');
        const comm = () => readFileSync(`/proc/${task.pid}/comm`, 'utf8');
        await until('the other program', () => comm() === 'cat\n');
      }
      await take(world, ON_TOP);
      await checkpoints.finish('web', RESUME);
      assert.is(configOf(world).includes('prev-images-dir'), !begins);
      assert.is(readFileSync(join(world.own.bundle, 'parent-seen'), 'utf8'), 'true', 'CRIU wants to see it');
    }
  } finally {
    task.kill('SIGKILL');
  }
});

test('a plane that gives up after a pre-dump leaves nothing kept', async () => {
  const world = await runningContainer();
  await preDump(world);
  assert.ok(existsSync(world.own.parentImages));
  assert.is(await world.agent.checkpoints.finish('web', GIVE_UP), 0);
  assert.not(existsSync(world.own.parentImages));
  const error = await rejection(world.agent.checkpoints.begin('web', ON_TOP));
  assert.is(error.message, UNTRACKED);
});

test.run();
