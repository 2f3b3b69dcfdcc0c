/**
 * Runs the tests: every *.test.ts below test/, each file in a process of its own, and counts. The last
 * line is `N passed, N failed`; whoever reads it need not know uvu.
 */
import { globSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, relative } from 'node:path';
import type { Readable } from 'node:stream';
import { execa, type Subprocess } from 'execa';
import { prepareImage } from '../testbed/qemu/prepare.ts';
import type { Testbed } from '../testbed/testbed.ts';
import { bootTwoGuests, environmentOf } from './helpers/two-guests.ts';

export interface TestOptions {
  filter: string | undefined;
  unitOnly: boolean;
}

interface Count {
  passed: number;
  failed: number;
  skipped: number;
}

const ROOT = join(import.meta.dirname, '..');
/** No file may take longer; those that boot guests under emulation are the slow ones. */
const FILE_TIMEOUT_MS = 30 * 60_000;
/** From a file's last test to the end of its process. */
const END_TIMEOUT_MS = 60_000;
/** Files that wait for a disk, a clock or another program, beside one that works on each processor. */
const WAITING_COUNT = 2;
/** With fewer, emulated guests hold each other up, and deadlines come near. */
const CPUS_FOR_FOUR_GUESTS = 4;
/** Begun first: all else is through by the time they are. */
const LONGEST = [
  'test/offload-plane/kill-and-adopt.test.ts',
  'test/offload-plane/kill-and-move.test.ts',
  'test/testbed/images/build-demo-images.test.ts',
];
/** Tests that could not run for want of hardware say so with a line of their own. */
const SKIPPED_LINE = /^skipped: .+$/gm;

/** What whoever runs the tests may have set for programs of theirs, and ours would heed. */
const NOT_FOR_TESTS =
  /^(CI|NO_COLOR|CLICOLOR|CLICOLOR_FORCE|NODE_(OPTIONS|DEBUG|V8_COVERAGE|DISABLE_COLORS)|COLUMNS|LINES|ENV|OTEL_.*|LANGUAGE|OFFLOAD_(SOCKET|URL|TOKEN_FILE|DEBUG))$/;

export async function runTests(options: TestOptions): Promise<boolean> {
  for (const name of Object.keys(process.env)) if (NOT_FOR_TESTS.test(name)) delete process.env[name];
  process.env.LC_ALL = 'C.UTF-8';
  const files = globSync('test/**/*.test.ts', { cwd: ROOT })
    .filter((file) => !options.filter || file.includes(options.filter))
    .sort();
  const inGuests = options.unitOnly ? [] : files.filter(needsGuest);
  const total: Count = { passed: 0, failed: 0, skipped: 0 };
  if (!options.unitOnly) {
    // Tests with a real CRIU take the one of the guest image; without the image they would be skipped.
    const { image } = await prepareImage((message) => console.log(`     ${message}`));
    process.env.OFFLOAD_TEST_ROOTFS = image.rootfsPath;
  }
  const beside = files.filter((file) => !needsGuest(file)).sort((a, b) => rank(a) - rank(b));
  await inParallel(beside, availableParallelism() + WAITING_COUNT, (file) => runFile(file, total));
  const isShared = (file: string) => readFileSync(join(ROOT, file), 'utf8').includes('takeTwoGuests()');
  const [shared, own] = [inGuests.filter(isShared), inGuests.filter((file) => !isShared(file))];
  const booted = () => onTwoGuests(shared, total);
  const booting = () => inParallel(own, 1, (file) => runFile(file, total));
  await inParallel([booted, booting], availableParallelism() < CPUS_FOR_FOUR_GUESTS ? 1 : 2, (run) => run());
  if (files.length === 0) console.log(`no test file matches ${options.filter}`);
  if (total.skipped > 0) console.log(`${total.skipped} skipped`);
  console.log(`${total.passed} passed, ${total.failed} failed`);
  return total.failed === 0 && total.passed > 0;
}

const rank = (file: string) => (LONGEST.includes(file) ? 0 : 1);
const needsGuest = (file: string) => file.startsWith('test/e2e/');

/** One boot for all of them; another after a file that has failed, as nobody knows what that has left. */
async function onTwoGuests(files: readonly string[], total: Count): Promise<void> {
  let testbed: Testbed | undefined;
  try {
    for (const file of files) {
      // Without them the file tries by itself, and says what is wrong.
      testbed ??= await bootTwoGuests().catch(() => undefined);
      const { failed } = await runFile(file, total, testbed && environmentOf(testbed));
      if (failed === 0) continue;
      await testbed?.stop();
      testbed = undefined;
    }
  } finally {
    await testbed?.stop();
  }
}

async function runFile(file: string, total: Count, env: NodeJS.ProcessEnv = {}): Promise<Count> {
  const startMs = performance.now();
  const running = execa(process.execPath, [join(ROOT, file)], {
    cwd: ROOT,
    all: true,
    reject: false,
    timeout: FILE_TIMEOUT_MS,
    killSignal: 'SIGKILL',
    env: { FORCE_COLOR: '0', ...env },
  });
  const result = await endOf(running);
  const count = countOf(result.all, result.failed);
  total.passed += count.passed;
  total.failed += count.failed;
  total.skipped += count.skipped;
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
  console.log(
    `${count.failed > 0 ? 'FAIL' : 'ok  '} ${relative('test', file)}: ${describe(count)} (${seconds} s)`,
  );
  for (const reason of result.all.match(SKIPPED_LINE) ?? []) console.log(`     ${reason}`);
  if (count.failed > 0) console.log(indent(`${result.all}\n${result.shortMessage ?? ''}`));
  return count;
}

/** A process that outlives its tests has left something open: it is ended, and fails. */
async function endOf<T>(running: Promise<T> & Pick<Subprocess, 'kill'> & { all: Readable }): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  running.all.on('data', (chunk: Buffer) => {
    if (/^\s*Duration:/m.test(String(chunk)))
      timer ??= setTimeout(() => running.kill('SIGKILL'), END_TIMEOUT_MS);
  });
  try {
    return await running;
  } finally {
    clearTimeout(timer);
  }
}

function describe({ passed, failed, skipped }: Count): string {
  return `${passed} passed${failed > 0 ? `, ${failed} FAILED` : ''}${skipped > 0 ? `, ${skipped} skipped` : ''}`;
}

/** uvu prints Total and Passed; a file that ends badly or says nothing counts as one failure. */
function countOf(output: string, ended: boolean): Count {
  const sum = (name: string) =>
    [...output.matchAll(new RegExp(`^\\s*${name}:\\s+(\\d+)`, 'gm'))].reduce(
      (all, match) => all + Number(match[1]),
      0,
    );
  const [total, passed] = [sum('Total'), sum('Passed')];
  const skipped = output.match(SKIPPED_LINE)?.length ?? 0;
  const failed = Math.max(total - passed, ended || (total === 0 && skipped === 0) ? 1 : 0);
  return { passed, failed, skipped };
}

const indent = (text: string) => text.replace(/^/gm, '     ');

async function inParallel<T>(
  items: readonly T[],
  width: number,
  work: (item: T) => Promise<unknown>,
): Promise<void> {
  const queue = [...items];
  const worker = async () => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: width }, worker));
}
