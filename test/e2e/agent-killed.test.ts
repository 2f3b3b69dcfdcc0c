/**
 * The agent, killed by SIGKILL at seeded moments of what it does, in a real guest. What ran runs on, what was not
 * finished is undone, and its successor tells what happened meanwhile. AGENT_KILL_SEEDS: rounds of each kind.
 */
import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { ContainerSpec } from '../../interconnect/agent-api.ts';
import { pollUntil } from '../../platform/deadline.ts';
import { startTestbed, type Testbed } from '../../testbed/testbed.ts';
import { buildBusyboxImage } from '../helpers/busybox-image.ts';
import {
  assertEventsInOrder,
  assertUnharmed,
  call,
  type KilledAgent,
  killAfter,
  leftovers,
  SHELL_PORT,
  TICKING,
  watchGuest,
} from '../helpers/killed-agent.ts';
import { seeded, seedsOf } from '../helpers/seeded.ts';

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
  const { plane, guests, planeProcess } = context.testbed;
  await plane.images.import({ path: await buildBusyboxImage(context.directory), name: 'busybox' });
  await plane.containers.create({ name: 'steady', guest: 'origin', image: 'busybox', command: TICKING });
  await plane.containers.start('steady');
  context.watched = await watchGuest(context.testbed, guests[0]!);
  // From here on nobody else tells the agent what to do.
  planeProcess.kill('SIGKILL');
});
test.after(async ({ testbed, directory }) => {
  await testbed?.stop();
  if (directory) await rm(directory, { recursive: true, force: true });
});

const specOf = ({ steady }: KilledAgent, id: string, command: string): ContainerSpec => ({
  ...steady,
  id,
  hostname: id,
  address: '10.88.200.9/16',
  command: ['/bin/sh', '-c', command],
});

interface Kind {
  what: string;
  /** Done before, in peace. */
  before?: (watched: KilledAgent, id: string) => Promise<unknown>;
  /** What the agent is killed in the middle of. */
  act: (watched: KilledAgent, id: string) => Promise<unknown>;
  /** The kill comes up to so long after it began, by a fast machine's clock. */
  spanMs: number;
  /** The phases it may be in afterwards; absent counts as `gone`. */
  after: string[];
}

const create =
  (command = 'sleep 1000') =>
  (watched: KilledAgent, id: string) =>
    call(watched, 'createContainer', specOf(watched, id, command), id);
const start = (watched: KilledAgent, id: string) => call(watched, 'startContainer', {}, id);
const started = async (watched: KilledAgent, id: string) => {
  await create()(watched, id);
  await start(watched, id);
};

const KINDS: Kind[] = [
  { what: 'creates a container', act: create(), spanMs: 150, after: ['gone', 'created'] },
  { what: 'starts one', before: create(), act: start, spanMs: 40, after: ['created', 'running'] },
  {
    what: 'watches one that ends',
    before: create('exit 3'),
    act: start,
    spanMs: 60,
    after: ['created', 'stopped'],
  },
  {
    what: 'pauses one',
    before: started,
    act: (watched, id) => call(watched, 'pauseContainer', {}, id),
    spanMs: 40,
    after: ['running', 'paused'],
  },
  {
    what: 'removes one',
    before: started,
    act: (watched, id) => call(watched, 'deleteContainer', undefined, id),
    spanMs: 100,
    after: ['gone', 'running'],
  },
  {
    what: 'creates a stopped one again',
    before: async (watched, id) => {
      await started(watched, id);
      await call(watched, 'killContainer', { signal: 'KILL' }, id);
      await pollUntil(
        async () => (await call(watched, 'inspectContainer', undefined, id)).phase === 'stopped' || undefined,
        { timeoutMs: 10_000 * watched.testbed.deadlineScale, intervalMs: 50, what: 'its end' },
      );
    },
    act: (watched, id) => call(watched, 'recreateContainer', specOf(watched, id, 'sleep 1000'), id),
    spanMs: 150,
    after: ['stopped', 'created'],
  },
];

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
      assert.is(await leftovers(watched), '', told);
      await assertEventsInOrder(watched);
    }
  });
}

test.run();
