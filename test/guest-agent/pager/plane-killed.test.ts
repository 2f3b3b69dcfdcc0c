/** A plane of its own process is killed by SIGKILL at random points and started again; PLANE_KILL_SEEDS says how often. */
import { copyFileSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { withDeadline } from '../../../platform/deadline.ts';
import { DUMP_SOCKET, THROUGH_SOCKET } from '../../../testbed/native/checkpoint.ts';
import { prepareDirectory } from '../../../testbed/native/criu-world.ts';
import { type NativePlane, startNativePlane } from '../../../testbed/native/plane.ts';
import type { LeftSession } from '../../../testbed/native/plane-protocol.ts';
import { buildBenchPrograms, WITH_SOCKET } from '../../../testbed/native/programs.ts';
import { makeCgroup } from '../../helpers/cgroup.ts';
import { askHeap, restoreHeap, type ServedHeap, serveHeap } from '../../helpers/criu-heap.ts';
import { criuMissing, criuTest } from '../../helpers/criu-test.ts';
import { buildPrograms, HEAP, type RunningPager, startPager } from '../../helpers/pager-program.ts';
import { type Draw, seeded, seedsOf } from '../../helpers/seeded.ts';
import { test } from '../../helpers/suite.ts';
import { tempDirectory } from '../../helpers/temp-directory.ts';

const DEADLINE_MS = 180_000;
const CHECKPOINT = 'whole';
const cgroup = criuMissing === '' ? makeCgroup() : undefined;
const directory = tempDirectory('plane-killed');
const storeDirectory = join(directory, 'store');
const pagerSocket = join(directory, 'plane.sock');
const program = join(directory, 'program');
const dumpSocket = join(program, DUMP_SOCKET);
let served: ServedHeap;

test.before(async () => {
  if (criuMissing !== '') return;
  await buildPrograms();
  mkdirSync(program);
  await buildBenchPrograms();
  served = await serveHeap(program, { mib: 32, threadCount: 3 });
  copyFileSync(WITH_SOCKET, join(program, 'bin', basename(WITH_SOCKET)));
});
test.after(async () => {
  await served?.world.close();
  await cgroup?.remove();
});

/** What a plane that was killed has left is there: the names of its sockets, and what it had begun to store. */
function startPlane(left: LeftSession[] = []): Promise<NativePlane> {
  for (const socket of [pagerSocket, dumpSocket]) rmSync(socket, { force: true });
  return startNativePlane({ storeDirectory, pagerSocket, left });
}

async function kill(plane: NativePlane): Promise<void> {
  process.kill(plane.pid, 'SIGKILL');
  await plane.close();
}

async function dumpInto(plane: NativePlane, checkpoint: string): Promise<number> {
  await plane.call('beginDump', { checkpoint, socket: dumpSocket });
  const { run, options } = THROUGH_SOCKET;
  return withDeadline(served.dump(`--leave-running ${options}`, run), DEADLINE_MS, 'dump');
}

criuTest(
  'a plane killed in the middle of a dump leaves the program whole, and nothing of the dump',
  async () => {
    const ends = { failed: 0, done: 0 };
    for (const seed of seedsOf('PLANE_KILL_SEEDS', 6)) {
      const draw = seeded(seed);
      const plane = await startPlane();
      const dump = dumpInto(plane, `dump-${seed}`);
      dump.catch(() => {});
      await delay(draw(150));
      await kill(plane);
      /* The plane dies before it has named a port, or CRIU sees its page server go. */
      const exitCode = await dump.catch((error: Error) => {
        assert.match(error.message, /native plane: the process has ended/);
        return 1;
      });
      ends[exitCode === 0 ? 'done' : 'failed']++;
      assert.is(await askHeap(program, 'walk'), 'ok', `seed ${seed}`);
      const next = await startPlane();
      assert.equal(readdirSync(join(storeDirectory, 'checkpoints')), [], `seed ${seed}`);
      assert.equal(readdirSync(join(storeDirectory, 'incoming')), [], `seed ${seed}`);
      await next.close();
    }
    console.log(`dumps whose plane was killed: ${JSON.stringify(ends)}`);
    const plane = await startPlane();
    assert.is(await dumpInto(plane, CHECKPOINT), 0);
    const imagesDirectory = join(program, 'images');
    await plane.call('finishDump', { checkpoint: CHECKPOINT, imagesDirectory });
    await plane.close();
  },
);

interface Attempt {
  answers: string[];
  exitCode: number | undefined;
  stderr: string;
}

interface Begun {
  token: string;
  /** CRIU may begin, or the pager has failed. */
  ready: Promise<void>;
  ended: Promise<Attempt>;
}

/** One restore from the plane, and what becomes of the program. */
async function beginRestore(
  plane: NativePlane,
  name: string,
  draw: Draw,
  own: { faultsDryUpMs?: number; mayWalk?: Promise<void> } = {},
): Promise<Begun> {
  const { mayWalk = Promise.resolve(), ...more } = own;
  const place = join(directory, name);
  prepareDirectory(place, [HEAP]);
  const order = { checkpoint: CHECKPOINT, policy: 'lazy', record: false, trace: false, ...more } as const;
  const { session: token } = await plane.call('openRestore', { ...order, directory: place });
  const pager = startPager([
    ...[
      '--connect',
      `unix:${pagerSocket}`,
      '--token-file',
      join(place, 'token'),
      '--deadline-ms',
      String(DEADLINE_MS),
    ],
    ...['--images-dir', join(place, 'images'), '--work-dir', join(place, 'work')],
    ...(cgroup === undefined ? [] : ['--container-cgroup', cgroup.path]),
  ]);
  const ended = followRestore(place, pager, `touch 200 ${draw(1000)}`, mayWalk);
  ended.catch(() => {});
  return { token, ready: pager.ready.catch(() => undefined), ended };
}

async function followRestore(
  place: string,
  pager: RunningPager,
  touch: string,
  mayWalk: Promise<void>,
): Promise<Attempt> {
  const name = basename(place);
  const answers: string[] = [];
  const work = async () => {
    if (
      await pager.ready.then(
        () => false,
        () => true,
      )
    )
      return;
    const restored = await restoreHeap(place, cgroup === undefined ? {} : { cgroup: cgroup.path });
    try {
      if (restored.exitCode !== 0) return;
      answers.push(await restored.ask(touch));
      await mayWalk;
      for (const command of ['walk', 'walk']) answers.push(await restored.ask(command));
      await pager.ended;
      answers.push(await restored.ask('walk'));
    } finally {
      await restored.end();
    }
  };
  await withDeadline(work(), DEADLINE_MS, `restore ${name}`);
  const { exitCode, stderr } = await withDeadline(pager.ended, DEADLINE_MS, `pager of ${name}`);
  rmSync(place, { recursive: true });
  return { answers, exitCode, stderr };
}

const tell = (seed: number, { answers, exitCode, stderr }: Attempt) =>
  `seed ${seed}: ${JSON.stringify(answers)}, pager exit ${exitCode}: ${stderr}`;

criuTest(
  'a plane killed at any point of a restore, once and again: the next one goes on, and every page is right and verified',
  async () => {
    const ends = { whole: 0, early: 0 };
    for (const seed of seedsOf('PLANE_KILL_SEEDS', 4)) {
      const draw = seeded(seed);
      let plane = await startPlane();
      const { token, ready, ended } = await beginRestore(plane, `restore-${seed}`, draw);
      // Of every second one the plane is killed only when it has brought what comes once.
      if (seed % 2 === 0) await ready;
      const left = [{ token, checkpoint: CHECKPOINT, policy: 'lazy' as const }];
      for (let kills = 1 + draw(2); kills > 0; kills -= 1) {
        await delay(draw(600));
        await kill(plane);
        plane = await startPlane(left);
      }
      const attempt = await ended;
      const told = tell(seed, attempt);
      if (attempt.exitCode === 0) {
        assert.equal(attempt.answers, ['ok', 'ok', 'ok', 'ok'], told);
        // Its last word may have been for a plane that was killed; the pager repeats it until one has taken it.
        const { memoryVerified } = await plane.call('restoreEnd', { session: token });
        assert.ok(memoryVerified, told);
      } else {
        // CRIU's own pages come once only.
        assert.match(attempt.stderr, /closed the connection before map and files were complete/, told);
        assert.equal(attempt.answers, [], told);
      }
      await plane.close();
      ends[attempt.exitCode === 0 ? 'whole' : 'early']++;
    }
    console.log(`restores whose plane was killed: ${JSON.stringify(ends)}`);
    assert.ok(ends.whole > 0);
  },
);

criuTest(
  'a plane that has forgotten a restore leaves a program that is dead, and a pager that says why',
  async () => {
    const plane = await startPlane();
    const { promise: mayWalk, resolve: letWalk } = Promise.withResolvers<void>();
    const own = { faultsDryUpMs: 600_000, mayWalk };
    const { ended } = await beginRestore(plane, 'forgotten', seeded(0), own);
    await delay(300);
    await kill(plane);
    letWalk();
    const next = await startPlane();
    const attempt = await ended;
    await next.close();
    const told = tell(0, attempt);
    assert.not.match(attempt.answers.join(), /wrong/, told);
    assert.is(attempt.exitCode, 1, told);
    assert.match(attempt.stderr, /unknown token|closed the connection before/, told);
    /* Without a cgroup only what is missing is taken from it. */
    if (attempt.answers.length > 0) {
      assert.match(attempt.answers.at(-1)!, cgroup ? /no answer/ : /no answer|^ok$/, told);
    }
  },
);

test.run();
