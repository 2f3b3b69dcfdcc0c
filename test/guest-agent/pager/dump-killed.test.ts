/**
 * CRIU is killed by SIGKILL at random points of a dump that leaves the program alive; CRIU_KILL_SEEDS says how
 * often. Killed while its code is in the program, CRIU can lose it: no freezing beforehand prevents that. What
 * holds: no byte is ever wrong, nothing stays in the store, and the program runs on or is dead, never in between.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { receiveDump } from '../../../offload-plane/page-server/receive-dump.ts';
import type { PageStore } from '../../../offload-plane/page-store/contract.ts';
import { openPageStore } from '../../../offload-plane/page-store/store.ts';
import { withDeadline } from '../../../platform/deadline.ts';
import { makeCgroup } from '../../helpers/cgroup.ts';
import { askHeap, heapPid, type ServedHeap, STEP_MS, serveHeap } from '../../helpers/criu-heap.ts';
import { criuMissing, criuTest } from '../../helpers/criu-test.ts';
import { listen, pageServerAt } from '../../helpers/native-restore.ts';
import { buildPrograms } from '../../helpers/pager-program.ts';
import { seeded, seedsOf } from '../../helpers/seeded.ts';
import { test } from '../../helpers/suite.ts';
import { tempDirectory } from '../../helpers/temp-directory.ts';
import { until } from '../../helpers/until.ts';

const HEAP_MIB = 16;
/** A program that CRIU has lost may stand still for ever. */
const ANSWER_MS = 5_000;
const NEVER_S = 600;
const cgroup = criuMissing === '' ? makeCgroup() : undefined;
const scratch = tempDirectory('dump-killed');
let store: PageStore;
let dumpCount = 0;

test.before(async () => {
  if (criuMissing === '') await buildPrograms();
  store = await openPageStore({ directory: join(scratch, 'store') });
});
test.after(async () => {
  await cgroup?.remove();
  await store.close();
});

interface Program {
  directory: string;
  served: ServedHeap;
}

async function startProgram(freezer: string | undefined): Promise<Program> {
  const directory = join(scratch, `program-${dumpCount}`);
  mkdirSync(directory);
  const served = await serveHeap(directory, { mib: HEAP_MIB, threadCount: 3 }, freezer);
  if (freezer !== undefined) writeFileSync(join(freezer, 'cgroup.procs'), String(heapPid(served.world.pid)));
  return { directory, served };
}

async function freeze(freezer: string, frozen: boolean): Promise<void> {
  writeFileSync(join(freezer, 'cgroup.freeze'), frozen ? '1' : '0');
  if (!frozen) return;
  await until('frozen', () => readFileSync(join(freezer, 'cgroup.events'), 'utf8').includes('frozen 1'));
}

/** One dump into the store with a CRIU that lives for so long; its exit code and how long it took. */
async function dumpAndKill(program: Program, delayS: number, freezer: string | undefined) {
  const writer = await store.begin(`dump-${dumpCount++}`);
  const server = createServer((socket) => {
    receiveDump(socket, writer, { idleDeadlineMs: STEP_MS }).catch(() => {});
  });
  const port = await listen(server, { host: '127.0.0.1', port: 0 });
  if (freezer !== undefined) await freeze(freezer, true);
  const freezes = freezer === undefined ? '' : '--freeze-cgroup /run/freezer';
  const options = `--leave-running ${freezes} ${pageServerAt(port)}`;
  const startedMs = performance.now();
  const exitCode = await withDeadline(program.served.dumpAndKill(options, delayS), STEP_MS, 'dump');
  const tookMs = performance.now() - startedMs;
  if (freezer !== undefined) await freeze(freezer, false);
  server.close();
  await writer.abort();
  return { exitCode, tookMs };
}

async function outcome(program: Program, answerMs = ANSWER_MS): Promise<'runs' | 'stopped' | 'lost'> {
  const pid = heapPid(program.served.world.pid);
  if (pid === undefined) return 'lost';
  const stopped = letGo(pid);
  const walk = withDeadline(askHeap(program.directory, 'walk'), answerMs, 'walk');
  const answer = await walk.catch((error) => `no answer: ${error}`);
  assert.not.match(answer, /wrong/);
  if (answer !== 'ok') return 'lost';
  return stopped ? 'stopped' : 'runs';
}

/** Whether it was stopped; one that has just ended was not. */
function letGo(pid: number): boolean {
  try {
    if (!/^State:\s*[Tt]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))) return false;
    return process.kill(pid, 'SIGCONT');
  } catch {
    return false;
  }
}

function killTest(title: string, freezer: string | undefined): void {
  criuTest(title, () => killMany(freezer));
}

async function killMany(freezer: string | undefined): Promise<void> {
  const ends = { runs: 0, stopped: 0, lost: 0, notKilled: 0 };
  let program = await startProgram(freezer);
  try {
    const whole = await dumpAndKill(program, NEVER_S, freezer);
    let windowMs = whole.tookMs;
    assert.is(whole.exitCode, 0);
    assert.is(await outcome(program, STEP_MS), 'runs');
    for (const seed of seedsOf('CRIU_KILL_SEEDS', 20)) {
      const delayS = seeded(seed)(windowMs) / 1000;
      const { exitCode, tookMs } = await dumpAndKill(program, delayS, freezer);
      const end = await outcome(program);
      if (exitCode === 137) ends[end]++;
      else {
        ends.notKilled++;
        windowMs = Math.min(windowMs, tookMs); // the first was slower than those that follow
      }
      if (end !== 'lost') continue;
      await program.served.world.close();
      program = await startProgram(freezer);
    }
  } finally {
    await program.served.world.close();
  }
  console.log(`after kills of CRIU: ${JSON.stringify(ends)}`);
  assert.is(store.usedBytes, 0);
  assert.equal(readdirSync(join(scratch, 'store/incoming')), []);
}

killTest('CRIU killed in the middle of a dump leaves no wrong byte and nothing in the store', undefined);
if (cgroup !== undefined)
  killTest('CRIU killed in the middle of a dump of a frozen program leaves no wrong byte', cgroup.path);

test.run();
