/**
 * The agent, killed by SIGKILL at seeded moments of what it does, in a real guest. What ran runs on, what was not
 * finished is undone, and its successor tells what happened meanwhile. AGENT_KILL_SEEDS: rounds of each kind.
 */
import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import type { ContainerSpec } from '../../interconnect/agent-api.ts';
import { OffloadError } from '../../platform/errors.ts';
import { startTestbed, type Testbed } from '../../testbed/testbed.ts';
import { buildBusyboxImage } from '../helpers/busybox-image.ts';
import { streamsOf } from '../helpers/cut-streams.ts';
import {
  assertEventsInOrder,
  assertNothingLeft,
  assertUnharmed,
  call,
  type KilledAgent,
  killAfter,
  SHELL_PORT,
  shell,
  TICKING,
  watchGuest,
} from '../helpers/killed-agent.ts';
import { end, KINDS, specOf } from '../helpers/killed-agent-kinds.ts';
import {
  assertCheckpointable,
  assertWholeOrGone,
  checkpointHeap,
  isDumped,
  isFrozen,
  killWhen,
  outcomeOf,
} from '../helpers/killed-under-plane.ts';
import { seeded, seedsOf } from '../helpers/seeded.ts';
import { suite } from '../helpers/suite.ts';

interface Context {
  testbed: Testbed;
  directory: string;
  watched: KilledAgent;
}
const test = suite<Context>('an agent that is killed');
const SEEDS = seedsOf('AGENT_KILL_SEEDS', 1);

test.before(async (context) => {
  context.directory = mkdtempSync(join(tmpdir(), 'agent-killed-'));
  context.testbed = await startTestbed({
    guests: [{ name: 'origin', memoryMiB: 768, vcpus: 2, shellPort: SHELL_PORT }],
    onProgress: () => {},
  });
  const { plane, guests } = context.testbed;
  await plane.images.import({ path: await buildBusyboxImage(context.directory), name: 'busybox' });
  await plane.containers.create({ name: 'steady', guest: 'origin', image: 'busybox', command: TICKING });
  await plane.containers.start('steady');
  context.watched = await watchGuest(context.testbed, guests[0]!);
});
test.after(async ({ testbed, directory }) => {
  await testbed?.stop();
  if (directory) await rm(directory, { recursive: true, force: true });
});

const CUT_CHECKPOINTS = [
  { what: 'is frozen for a checkpoint', isThere: isFrozen, preDumpRounds: 0 },
  { what: 'is dumped', isThere: isDumped, preDumpRounds: 0 },
  { what: 'is dumped while it runs', isThere: isDumped, preDumpRounds: 2 },
];

for (const [index, { what, isThere, preDumpRounds }] of CUT_CHECKPOINTS.entries()) {
  test(`while a container ${what}: it runs on, and its checkpoint is whole or an error with nothing left`, async ({
    watched,
  }) => {
    const { plane, deadlineScale } = watched.testbed;
    for (const round of SEEDS) {
      const seed = round * CUT_CHECKPOINTS.length + index;
      const id = `cut-${seed}`;
      const taken = outcomeOf(
        plane.checkpoints.create({ container: 'steady', id, after: 'resume', preDumpRounds }),
      );
      await killWhen(watched, taken, isThere(watched.steady.id), seeded(seed)(60 * deadlineScale));
      const isWhole = !((await taken) instanceof OffloadError);
      const stored = (await plane.checkpoints.list()).map((checkpoint) => checkpoint.id);
      assert.equal(stored, isWhole ? [id] : [], `seed ${seed}`);
      if (isWhole) await plane.checkpoints.remove(id);
      await assertCheckpointable(watched, `next-${seed}`);
      await assertEventsInOrder(watched);
    }
  });
}

test('while CRIU restores a container: it goes on to its last page, or it is gone and the caller knows', async ({
  watched,
}) => {
  const { plane, deadlineScale } = watched.testbed;
  await checkpointHeap(watched, 'heap');
  for (const seed of SEEDS) {
    const name = `restored-${seed}`;
    const restoring = outcomeOf(plane.restores.create({ checkpoint: 'heap', guest: 'origin', name }));
    const isRestored = 'ls /run/offload/containers/*/restore.log 2>/dev/null';
    await killWhen(watched, restoring, isRestored, seeded(seed)(60 * deadlineScale));
    const outcome = await restoring;
    await assertWholeOrGone(watched, name, outcome instanceof OffloadError ? undefined : outcome.id);
    await assertUnharmed(watched);
  }
});

test('while pages of a restore are on their way: they come, each once and with its bytes', async ({
  watched,
}) => {
  const { plane } = watched.testbed;
  const request = { checkpoint: 'heap', guest: 'origin', name: 'filled', policy: 'lazy' } as const;
  const { id } = await plane.restores.create(request);
  await killAfter(watched, 0);
  await assertWholeOrGone(watched, 'filled', id);
  await assertUnharmed(watched);
});

test('while it is attached to, followed and copied from: who is cut off is told, and attaches again to what ran on', async ({
  watched,
}) => {
  const { containers, stdio } = watched.testbed.plane;
  const streams = streamsOf(watched);
  const shell = { name: 'shell', guest: 'origin', image: 'busybox', terminal: true, openStdin: true };
  await containers.create(shell);
  await containers.start('shell');
  const before = await streams.attach('shell');
  await before.type('kept=warm; echo before-$((40+2))\r');
  await before.see(/before-42/);
  const [plain, onTerminal, brief] = [
    await streams.exec('plain', 41, false),
    await streams.exec('terminal', 42, true),
    await streams.exec('brief', 43, true),
  ];
  const cut = await streams.startCopies();
  await streams.killAndLetGo('brief');
  await Promise.all(cut);
  for (const { ended } of [before, plain.screen, onTerminal.screen, brief.screen]) {
    assert.is(await ended, undefined, 'cut off, and not ended');
  }

  const missed = await streams.attachExec(brief.id);
  assert.is(await missed.ended, 43, 'it ended while there was no agent');
  assert.match(missed.text, /said-42-brief[\s\S]*ended-43/);
  const [plainAgain, terminalAgain] = [
    await streams.attachExec(plain.id),
    await streams.attachExec(onTerminal.id),
  ];
  await terminalAgain.see(/said-42-terminal/);
  for (const name of ['plain', 'terminal']) await streams.letGo(name);
  assert.equal([await plainAgain.ended, await terminalAgain.ended], [41, 42]);
  assert.is((await stdio.inspectExec(plain.id)).exitCode, 41);
  for (const { text } of [plainAgain, terminalAgain]) assert.is(text.match(/ended-43/g)?.length, 1);

  const again = await streams.attach('shell');
  await again.see(/before-42/);
  await again.type('echo $kept-$((40+3))\r');
  await again.see(/warm-43/);
  assert.is(again.text.match(/before-42/g)?.length, 1, 'nothing came twice');
  again.close();
  await containers.remove('shell', { force: true });
  await assertNothingLeft(watched);
  await assertUnharmed(watched);
});

test('with the plane gone as well, the agent alone', async ({ watched }) => {
  // From here on nobody else tells the agent what to do.
  watched.testbed.planeProcess.kill('SIGKILL');
  await assertUnharmed(watched);
});

test('one that takes the place of one that has ended has its address, and no other harms that', async ({
  watched,
}) => {
  const addressOf = (id: string) => shell(watched, `ip -netns op-${id} -4 -o addr show eth0`);
  const specs = ['place-1', 'place-2', 'place-3'].map((id) => specOf(watched, id, 'sleep 1000'));
  const [ended, next, undone] = specs as [ContainerSpec, ContainerSpec, ContainerSpec];
  await call(watched, 'createContainer', ended, ended.id);
  await call(watched, 'startContainer', {}, ended.id);
  await end(watched, ended.id);
  await call(watched, 'createContainer', next, next.id);
  await call(watched, 'startContainer', {}, next.id);
  const error = await outcomeOf(call(watched, 'recreateContainer', ended, ended.id));
  assert.match((error as Error).message, /op-place-2 has address 10\.88\.200\.9/);
  await call(watched, 'deleteContainer', undefined, ended.id);
  assert.match(await addressOf(next.id), /10\.88\.200\.9\/16/);

  // The other way round: the one that was to take its place is undone, and it begins again.
  await end(watched, next.id);
  await call(watched, 'createContainer', undone, undone.id);
  await call(watched, 'deleteContainer', undefined, undone.id);
  await call(watched, 'recreateContainer', next, next.id);
  assert.match(await addressOf(next.id), /10\.88\.200\.9\/16/);
  await call(watched, 'deleteContainer', undefined, next.id);
  await assertNothingLeft(watched);
});

for (const [index, { what, before, act, spanMs, after }] of KINDS.entries()) {
  test(`while it ${what}: others go on, and the container is as it was or as it was to be`, async (context) => {
    const { watched } = context;
    for (const round of SEEDS) {
      const seed = round * KINDS.length + index;
      const id = `op-${seed}`;
      await before?.(watched, id);
      const killAfterMs = seeded(seed)(Math.ceil(spanMs * context.testbed.deadlineScale));
      const acting = act(watched, id).catch((error: Error) => error);
      await killAfter(watched, killAfterMs);
      await acting;
      const state = (await call(watched, 'listContainers', undefined)).find((found) => found.id === id);
      const told = `seed ${seed}, killed after ${killAfterMs} ms`;
      assert.ok(after.includes(state?.phase ?? 'gone'), `${told}: it is ${state?.phase ?? 'gone'}`);
      await assertUnharmed(watched);
      if (state) await call(watched, 'deleteContainer', undefined, id);
      await assertNothingLeft(watched, told);
      await assertEventsInOrder(watched);
    }
  });
}

test.run();
