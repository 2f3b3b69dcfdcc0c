/** The pager is killed by SIGKILL at random points of real restores; PAGER_KILL_SEEDS says how many. */
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { toOrderLog } from '../../../offload-plane/order-log/load.ts';
import { withDeadline } from '../../../platform/deadline.ts';
import { makeCgroup } from '../../helpers/cgroup.ts';
import { childrenOf } from '../../helpers/criu-heap.ts';
import { criuMissing, criuTest } from '../../helpers/criu-test.ts';
import { type NativeRestore, sharedCheckpoint, startRestore } from '../../helpers/native-restore.ts';
import { DYING_PAGER, startPager } from '../../helpers/pager-program.ts';
import { type Draw, seeded, seedsOf } from '../../helpers/seeded.ts';
import { test } from '../../helpers/suite.ts';
import { tempDirectory, writeInto } from '../../helpers/temp-directory.ts';
import { until } from '../../helpers/until.ts';

const HEAP_MIB = 32;
const THREAD_COUNT = 3;
/** Every restore is over by then, one way or the other. */
const DEADLINE_MS = 180_000;
/** Longer than a restore with its churn takes here; a kill that comes after the end does nothing. */
const KILL_WINDOW_MS = 500;
const checkpoint = sharedCheckpoint(HEAP_MIB, THREAD_COUNT);

const cgroup = criuMissing === '' ? makeCgroup() : undefined;

test.after(() => cgroup?.remove());

function start(seed: number, draw: Draw): Promise<NativeRestore> {
  const segments = checkpoint()
    .reader.segments()
    .filter((one) => one.lazy && !one.zero);
  const entries = Array.from({ length: 2000 }, (_, i) => {
    const { id, vaddr, pageCount } = segments[draw(segments.length)]!;
    return { task: id, vaddr: vaddr + BigInt(draw(pageCount) * 4096), timeUs: i };
  });
  const orderLog = toOrderLog(checkpoint().reader, entries)!;
  const ordered = draw(2) === 0;
  return startRestore({
    checkpoint: checkpoint(),
    name: `seed-${seed}`,
    session: { ...(ordered ? { policy: 'ordered', orderLog } : {}), faultsDryUpMs: 1 + draw(60) },
    ...(cgroup === undefined || draw(2) === 0 ? {} : { cgroup: cgroup.path }),
  });
}

/** Kills whatever pager there is, at random times; returns how many. */
async function killAtRandom(native: NativeRestore, draw: Draw): Promise<number> {
  const times = Array.from({ length: 1 + draw(3) }, () => draw(KILL_WINDOW_MS)).sort((a, b) => a - b);
  let killed = 0;
  let nowMs = 0;
  for (const atMs of times) {
    await delay(atMs - nowMs);
    nowMs = atMs;
    for (const pid of childrenOf(native.pager.pid)) {
      try {
        process.kill(pid, 'SIGKILL');
        killed++;
      } catch {
        // It was done already.
      }
    }
  }
  return killed;
}

/** What the program says to each command, up to the first that it did not answer. */
async function work(native: NativeRestore, commands: readonly string[]): Promise<string[]> {
  const answers: string[] = [];
  if ((await native.restored).exitCode !== 0) return ['no answer: CRIU failed'];
  for (const command of commands) {
    const answer = await native.ask(command);
    answers.push(answer);
    if (answer.startsWith('no answer')) break;
  }
  return answers;
}

/** What ended the restore; an error when a byte was wrong, or an end without its reason. */
async function judge(
  native: NativeRestore,
  answers: readonly string[],
  kills: number,
): Promise<'whole' | 'dead'> {
  const { exitCode, stderr } = await withDeadline(native.pager.ended, DEADLINE_MS, 'end of the pager');
  const told = `${JSON.stringify(answers)}, pager exit ${exitCode} after ${kills} kills: ${stderr}`;
  assert.not(
    answers.some((answer) => answer.includes('wrong')),
    `a wrong byte: ${told}`,
  );
  if (exitCode === 0) {
    assert.not(
      answers.some((answer) => answer.startsWith('no answer')),
      `no answer, though whole: ${told}`,
    );
    const { memoryVerified } = await withDeadline(native.session.done, DEADLINE_MS, 'session');
    assert.ok(memoryVerified, `not verified: ${told}`);
    return 'whole';
  }
  assert.match(stderr, /pager killed by signal 9/);
  const last = answers.at(-1)!;
  if (!last.startsWith('no answer')) assert.match(await native.ask('walk'), /no answer/, told);
  return 'dead';
}

criuTest(
  'a pager killed at any point has a successor that finishes, or the container is dead and says why',
  async () => {
    const ends = { whole: 0, dead: 0 };
    let kills = 0;
    for (const seed of seedsOf('PAGER_KILL_SEEDS', 30)) {
      const draw = seeded(seed);
      const native = await start(seed, draw);
      try {
        const churned = draw(3) > 0;
        const commands = churned ? [`churn ${seed} 200`, 'walk', 'fork'] : ['touch 500 3', 'walk'];
        await native.pager.ready;
        const [answers, killed] = await withDeadline(
          Promise.all([work(native, commands), killAtRandom(native, draw)]),
          DEADLINE_MS,
          `seed ${seed}`,
        );
        kills += killed;
        const end = await judge(native, answers, killed);
        if (end === 'whole' && !churned) {
          const { changed, zeroed, equal, pages } = await native.compare();
          assert.ok(
            zeroed === 0 && changed < 64 && equal + changed === pages,
            `${changed} changed, ${zeroed} zero`,
          );
        }
        ends[end]++;
      } catch (error) {
        throw new Error(`seed ${seed} (PAGER_KILL_SEEDS_FROM=${seed} PAGER_KILL_SEEDS=1): ${error}`, {
          cause: error,
        });
      } finally {
        await native.end();
      }
      assert.equal(childrenOf(native.pager.pid), [], `seed ${seed} leaves a pager behind`);
    }
    console.log(`${kills} pagers killed: ${ends.whole} restores whole, ${ends.dead} dead`);
    assert.ok(ends.whole > ends.dead * 4, 'a successor is the rule');
  },
);

criuTest(
  'a pager that dies where its state is about to change always has a successor that finishes',
  async () => {
    let deaths = 0;
    for (const seed of seedsOf('PAGER_DYING_SEEDS', 15)) {
      const draw = seeded(seed);
      const native = await startRestore({
        checkpoint: checkpoint(),
        name: `dying-${seed}`,
        session: { faultsDryUpMs: 1 + draw(60) },
        pagerProgram: DYING_PAGER,
        pagerEnv: {
          PAGER_DYING_SEED: String(seed),
          PAGER_DYING_ODDS: String([20, 200, 2000, 5000][draw(4)]),
        },
      });
      try {
        const answers = await work(native, [`churn ${seed} 200`, 'walk', 'fork']);
        assert.equal(answers, ['ok', 'ok', 'parent ok child ok'], `seed ${seed}`);
        const { exitCode, stderr } = await withDeadline(native.pager.ended, DEADLINE_MS, 'end of the pager');
        assert.is(exitCode, 0, `seed ${seed}: ${stderr}`);
        assert.ok((await native.session.done).memoryVerified, `seed ${seed}: not verified: ${stderr}`);
        deaths += stderr.split('killed by signal 9').length - 1;
      } finally {
        await native.end();
      }
    }
    console.log(`${deaths} deaths at points of their own choice`);
  },
);

/** A restore whose pages come only as they are asked for. */
async function asking(name: string, body: (native: NativeRestore) => Promise<void>): Promise<void> {
  const native = await startRestore({
    checkpoint: checkpoint(),
    name,
    session: { faultsDryUpMs: 600_000 },
  });
  try {
    assert.is((await native.restored).exitCode, 0);
    await body(native);
  } finally {
    await native.end();
  }
}

const onlyChild = (pid: number) => {
  const [child, ...more] = childrenOf(pid);
  assert.equal(more, []);
  return child!;
};

criuTest('a pager whose supervisor is killed ends the container and itself', async () => {
  await asking('orphan', async (native) => {
    assert.is(await native.ask('touch 10 1'), 'ok');
    const pager = onlyChild(native.pager.pid);
    native.pager.kill('SIGKILL');
    assert.match(await native.ask('walk'), /no answer/);
    await until('end of the orphan', () => !existsSync(`/proc/${pager}`));
    assert.match((await native.pager.ended).stderr, /its supervisor was killed/);
  });
});

criuTest('pagers that are killed one after the other end the container in the end', async () => {
  await asking('again', async (native) => {
    const killed = new Set<number>();
    await until('the ninth pager', () => {
      const [pager] = childrenOf(native.pager.pid);
      if (pager !== undefined && !killed.has(pager)) process.kill(pager, 'SIGKILL');
      if (pager !== undefined) killed.add(pager);
      return killed.size === 9;
    });
    assert.match(await native.ask('walk'), /no answer/);
    const { exitCode, stderr } = await native.pager.ended;
    assert.is(exitCode, 1);
    assert.match(stderr, /pager killed by signal 9, as its predecessors were/);
  });
});

criuTest('a pager that is stuck is killed, and its successor finishes', async () => {
  await asking('hung', async (native) => {
    assert.is(await native.ask('touch 10 1'), 'ok');
    process.kill(onlyChild(native.pager.pid), 'SIGSTOP');
    assert.is(await native.ask('walk'), 'ok');
    await native.session.markFirstResponse();
    const { exitCode, stderr } = await native.pager.ended;
    assert.is(exitCode, 0, stderr);
    assert.match(stderr, /pager is stuck: no sign of it within 4 s\n.*successor 1 of 8/);
    assert.ok((await native.session.done).memoryVerified);
  });
});

criuTest('a pager that is stuck is killed when it is told to end, and the container with it', async () => {
  await asking('stuck', async (native) => {
    process.kill(onlyChild(native.pager.pid), 'SIGSTOP');
    native.pager.kill('SIGTERM');
    assert.match(await native.ask('walk'), /no answer/);
    assert.match((await native.pager.ended).stderr, /after it was told to end/);
  });
});

criuTest('a pager that is killed before it is ready is not replaced', async () => {
  const directory = tempDirectory('pager');
  const plane = createServer(() => {}).listen(join(directory, 'plane.sock'));
  const token = writeInto(directory, 'token', Buffer.alloc(32));
  const pager = startPager([
    ...['--connect', `unix:${join(directory, 'plane.sock')}`, '--token-file', token],
    ...['--work-dir', directory],
  ]);
  await once(plane, 'connection');
  process.kill(onlyChild(pager.pid), 'SIGKILL');
  const { exitCode, stderr } = await pager.ended;
  assert.is(exitCode, 1);
  assert.is(stderr, 'offload-pager: pager killed by signal 9 before it was ready');
  plane.close();
});

test.run();
