import { copyFileSync, cpSync, existsSync, readFileSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import {
  type Checkpoint,
  checkpointHeap,
  childrenOf,
  heapPid,
  localArgs,
  type RestoredHeap,
  restoreHeap,
} from '../../helpers/criu-heap.ts';
import { criuMissing, criuTest } from '../../helpers/criu-test.ts';
import { buildPrograms, countersOf, startPager } from '../../helpers/pager-program.ts';
import { seedsOf } from '../../helpers/seeded.ts';
import { test } from '../../helpers/suite.ts';
import { tempDirectory, writeInto } from '../../helpers/temp-directory.ts';
import { until } from '../../helpers/until.ts';

const HEAP_MIB = 48;
const THREAD_COUNT = 4;
let checkpoint: Checkpoint;

test.before(async () => {
  await buildPrograms();
  if (criuMissing === '') checkpoint = await checkpointHeap(HEAP_MIB, THREAD_COUNT);
});

/** Longer than any pause of a busy machine between two commands; and for ever. */
const QUIET = ['--quiet-ms', '5000'];
const NO_FILL = ['--quiet-ms', '600000'];

interface Serving {
  from?: Checkpoint;
  /** Before the first command. */
  first?: (restored: RestoredHeap) => Promise<void>;
}

/** Restores, gives the commands one after the other, and returns the answers and the pager's counters. */
async function serve(
  pagerArgs: readonly string[],
  commands: readonly string[],
  { from = checkpoint, first = async () => {} }: Serving = {},
) {
  const pager = startPager(pagerArgs);
  await pager.ready;
  const restored = await restoreHeap(from.directory);
  const answers: string[] = [];
  try {
    assert.is(restored.exitCode, 0);
    await first(restored);
    for (const command of commands) answers.push(await restored.ask(command));
    const { exitCode, stderr } = await pager.ended;
    assert.is(exitCode, 0, stderr);
    return { answers, counters: countersOf(stderr), stderr };
  } finally {
    await restored.end();
  }
}

criuTest('a restore served by the pager alone has every word of a heap that four threads walk', async () => {
  const { answers, counters } = await serve(localArgs(checkpoint), ['walk', 'walk']);
  assert.equal(answers, ['ok', 'ok']);
  assert.ok(counters.installed! >= (HEAP_MIB * 256 * 15) / 16);
  assert.is(counters.dropped, 0);
});

criuTest(
  'a child forked while pages are still missing has its memory whole, and so has its parent',
  async () => {
    const record = join(tempDirectory('pager'), 'order');
    /* While an order is recorded nothing is filled behind the program's back. */
    const { answers } = await serve(localArgs(checkpoint, '--record', record), [
      'touch 50 3',
      'fork',
      'walk',
    ]);
    assert.equal(answers, ['ok', 'parent ok child ok', 'ok']);
  },
);

criuTest('memory that is discarded, moved and unmapped while pages are missing stays right', async () => {
  const record = join(tempDirectory('pager'), 'order');
  const commands = ['touch 50 4', 'discard', 'remap', 'unmap', 'walk', 'fork'];
  const { answers, counters } = await serve(localArgs(checkpoint, '--record', record, ...QUIET), commands);
  assert.equal(answers, ['ok', 'ok', 'ok', 'ok', 'ok', 'parent ok child ok']);
  assert.ok(counters.dropped! > (HEAP_MIB * 256) / 8, 'the discarded and the unmapped eighth');
});

criuTest('reshaping races against the fill without a wrong word', async () => {
  const { answers } = await serve(localArgs(checkpoint), ['discard', 'remap', 'unmap', 'walk']);
  assert.equal(answers, ['ok', 'ok', 'ok', 'ok']);
});

criuTest('whatever threads and their children do at random while pages come, no byte is wrong', async () => {
  for (const seed of seedsOf('PAGER_CHURN_SEEDS', 6)) {
    const churn = Array.from({ length: 6 }, (_, i) => `churn ${seed * 100 + i} 100`);
    /* Half of them without a fill behind the program's back. */
    const more = seed % 2 === 0 ? [] : ['--record', join(tempDirectory('pager'), 'order')];
    const { answers } = await serve(localArgs(checkpoint, ...more), [...churn, 'walk', 'fork']);
    const wanted = [...churn.map(() => 'ok'), 'ok', 'parent ok child ok'];
    assert.equal(answers, wanted, `seed ${seed} (PAGER_CHURN_SEEDS_FROM=${seed} PAGER_CHURN_SEEDS=1)`);
  }
});

criuTest('a program that ends before its pages are there ends the restore in order', async () => {
  const record = join(tempDirectory('pager'), 'order'); // it keeps the fill away
  const { answers, counters } = await serve(localArgs(checkpoint, '--record', record, ...QUIET), ['quit']);
  assert.match(answers[0]!, /no answer/);
  assert.ok(counters.dropped! > 0);
});

criuTest('a pager killed while it serves from images has a successor that finishes', async () => {
  const record = join(tempDirectory('pager'), 'order');
  const pager = startPager(localArgs(checkpoint, '--record', record));
  await pager.ready;
  const restored = await restoreHeap(checkpoint.directory);
  assert.is(await restored.ask('touch 50 1'), 'ok');
  for (const pid of childrenOf(pager.pid)) process.kill(pid, 'SIGKILL');
  assert.is(await restored.ask('walk'), 'ok');
  const { exitCode, stderr } = await pager.ended;
  assert.is(exitCode, 0, stderr);
  await restored.end();
});

criuTest('several tasks, and a zombie among them, are served at once', async () => {
  const family = await checkpointHeap(8, 2, 3);
  const { answers, counters } = await serve(localArgs(family), ['family', 'family'], { from: family });
  assert.equal(answers, ['ok', 'ok']);
  assert.ok(counters.installed! >= (4 * 8 * 256 * 15) / 16, 'four tasks, each with the heap');
});

criuTest('served in recorded order, the same work has at most a tenth of the faults', async () => {
  const directory = tempDirectory('pager');
  const record = join(directory, 'order');
  const first = await serve(localArgs(checkpoint, '--record', record, ...QUIET), ['touch 1500 7']);
  assert.equal(first.answers, ['ok']);
  const lines = readFileSync(record, 'utf8').trim().split('\n');
  assert.is(lines[0], 'offload-order 1');
  assert.is(lines.length - 1, first.counters.demand_faults);
  assert.ok(first.counters.demand_faults! > 1000);

  /* Recording keeps the fill away again, so that what is not a fault is the order's doing. The program would overtake
     the pager where the machine has other work: it begins when as many pages are there as it has asked for. */
  const args = localArgs(checkpoint, '--order', record, '--record', join(directory, 'again'), ...QUIET);
  const next = await serve(args, ['touch 1500 7'], {
    first: ({ pid }) =>
      until('the ordered pages', () => residentPages(heapPid(pid)!) >= first.counters.demand_faults!),
  });
  assert.equal(next.answers, ['ok']);
  console.log(`recorded ${first.counters.demand_faults} faults, in order ${next.counters.demand_faults}`);
  assert.ok(next.counters.demand_faults! * 10 <= first.counters.demand_faults!);
});

const residentPages = (pid: number) => Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1]);

criuTest('lines of an order that the images do not know are ignored and counted', async () => {
  const order = writeInto(tempDirectory('pager'), 'order', 'offload-order 1\n77 1000 1\n1000 1000 2\n');
  const { answers, stderr } = await serve(localArgs(checkpoint, '--order', order), ['walk']);
  assert.equal(answers, ['ok']);
  assert.match(stderr, '2 pages are not in these images, ignored');
});

criuTest('a truncated pages file is refused before the socket listens', async () => {
  const directory = tempDirectory('pager');
  cpSync(checkpoint.images, join(directory, 'images'), { recursive: true });
  const pages = join(directory, 'images/pages-1.img');
  truncateSync(pages, statSync(pages).size - 4096);
  const pager = startPager(['--images-dir', join(directory, 'images'), '--work-dir', directory]);
  const { exitCode, stderr } = await pager.ended;
  assert.is(exitCode, 1);
  assert.match(stderr, /pages-1\.img is truncated: \d+ bytes, its pagemap needs \d+ bytes/);
  assert.not(existsSync(join(directory, 'lazy-pages.socket')));
});

criuTest('a malformed pagemap is refused with one line', async () => {
  const directory = tempDirectory('pager');
  const good = readFileSync(join(checkpoint.images, 'pagemap-1000.img'));
  copyFileSync(join(checkpoint.images, 'pages-1.img'), join(directory, 'pages-1.img'));
  for (const bad of [good.subarray(0, 6), good.subarray(0, good.length - 3), Buffer.alloc(64, 0xff)]) {
    writeInto(directory, 'pagemap-1000.img', bad);
    const pager = startPager(['--images-dir', directory, '--work-dir', directory]);
    const { exitCode, stderr } = await pager.ended;
    assert.is(exitCode, 1);
    assert.is(stderr.split('\n').length, 1, stderr);
    assert.match(stderr, /pagemap-1000\.img/);
  }
});

criuTest('a pager ended by SIGTERM before all is in place leaves no page that reads as zero', async () => {
  const record = join(tempDirectory('pager'), 'order');
  const pager = startPager(localArgs(checkpoint, '--record', record, ...NO_FILL));
  await pager.ready;
  const restored = await restoreHeap(checkpoint.directory);
  assert.is(await restored.ask('touch 10 1'), 'ok');
  pager.kill('SIGTERM');
  assert.is((await pager.ended).exitCode, 1);
  assert.match(await restored.ask('walk'), /no answer/, 'killed by SIGBUS');
  await restored.end();
});

criuTest(
  'what is missing on both sides of a border of two mappings does not read as zero either',
  async () => {
    const record = join(tempDirectory('pager'), 'order');
    const pager = startPager(localArgs(checkpoint, '--record', record, ...NO_FILL));
    await pager.ready;
    const restored = await restoreHeap(checkpoint.directory);
    /* Pages 0 to 14 are one run of the checkpoint. */
    assert.is(await restored.ask('protect 8'), 'ok');
    pager.kill('SIGTERM');
    assert.is((await pager.ended).exitCode, 1);
    assert.match(await restored.ask('look 9'), /no answer/, 'killed by SIGBUS');
    await restored.end();
  },
);

test('wrong use is told in one line with exit code 2', async () => {
  const directory = tempDirectory('pager');
  const uses = [
    [],
    ['--nonsense'],
    ['--work-dir', directory],
    ['--work-dir', join(directory, 'none'), '--images-dir', directory],
    ['--work-dir', directory, '--connect', 'unix:/x'],
    ['--work-dir', directory, '--images-dir', directory, '--deadline-ms', 'soon'],
    ['--work-dir', directory, '--images-dir', directory, 'more'],
    ['--work-dir', directory, '--images-dir', directory, '--quiet-ms', '5'],
    [
      '--work-dir',
      directory,
      '--connect',
      'tcp:1',
      '--token-file',
      writeInto(directory, 't', Buffer.alloc(32)),
    ],
    ['--work-dir', directory, '--connect', 'unix:/x', '--token-file', join(directory, 'none')],
  ];
  for (const args of uses) {
    const { exitCode, stderr } = await startPager(args).ended;
    assert.is(exitCode, 2, args.join(' '));
    assert.is(stderr.split('\n').length, 1, stderr);
  }
});

test.run();
