import { closeSync, existsSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import * as assert from 'uvu/assert';
import { askHeap } from '../../helpers/criu-heap.ts';
import { buildPrograms, HEAP, MEMCHECK } from '../../helpers/pager-program.ts';
import { test } from '../../helpers/suite.ts';
import { tempDirectory, writeInto } from '../../helpers/temp-directory.ts';
import { until } from '../../helpers/until.ts';
import { loadHasher } from './hasher.ts';

const { digest64 } = await loadHasher();
const PAGE_BYTES = 4096;
const PAGE_COUNT = 4 * 256;
const TASK = 5;
const directory = tempDirectory('memcheck');
const abort = new AbortController();
let pid = 0;
let heapStart = 0n;

test.before(async () => {
  await buildPrograms();
  const socket = join(directory, 'heap.sock');
  const heap = execa(HEAP, [socket, '4', '1', '0'], { reject: false, cancelSignal: abort.signal });
  pid = heap.pid!;
  await until('the heap program', () => existsSync(`${socket}.ready`));
  heapStart = BigInt(await askHeap(directory, 'where'));
});
test.after(() => abort.abort());

/** A record of an index; page by page from the live memory, then changed by `edit`. */
function record(vaddr: bigint, pageCount: number, edit?: (digests: Buffer) => void, task = TASK): Buffer {
  const head = Buffer.alloc(16);
  head.writeUInt32LE(task, 0);
  head.writeUInt32LE(pageCount, 4);
  head.writeBigUInt64LE(vaddr, 8);
  const digests = Buffer.alloc(pageCount * 8);
  const memory = openSync(`/proc/${pid}/mem`, 'r');
  const page = Buffer.alloc(PAGE_BYTES);
  for (let i = 0; i < pageCount; i++) {
    readSync(memory, page, 0, PAGE_BYTES, vaddr + BigInt(i * PAGE_BYTES));
    digests.writeBigUInt64LE(digest64(page), i * 8);
  }
  closeSync(memory);
  edit?.(digests);
  return Buffer.concat([head, digests]);
}

async function check(index: Buffer, pidMap = `${TASK}:${pid}`) {
  const path = writeInto(directory, 'index', index);
  return await execa(MEMCHECK, ['--index', path, '--pid-map', pidMap], { reject: false });
}

test('memory that is as it was is equal page by page', async () => {
  const { stdout, exitCode } = await check(record(heapStart, PAGE_COUNT));
  assert.is(exitCode, 0);
  const expected = {
    pages: PAGE_COUNT,
    equal: PAGE_COUNT,
    changed: 0,
    softDirtyChanged: 0,
    unmapped: 0,
    zeroed: 0,
  };
  assert.equal(JSON.parse(stdout), { ...expected, firstChanged: null });
});

test('changed, zeroed and unmapped pages are told apart', async () => {
  /* Page 15 is zero in the live memory, page 3 is not. */
  const changed = record(heapStart, 100, (digests) => {
    digests.writeBigUInt64LE(1n, 3 * 8);
    digests.writeBigUInt64LE(1n, 15 * 8);
  });
  const unmapped = Buffer.alloc(16 + 2 * 8);
  unmapped.writeUInt32LE(TASK, 0);
  unmapped.writeUInt32LE(2, 4);
  unmapped.writeBigUInt64LE(4096n, 8);
  const { stdout, exitCode } = await check(Buffer.concat([changed, unmapped]));
  assert.is(exitCode, 0);
  const result = JSON.parse(stdout);
  assert.is(result.pages, 102);
  assert.is(result.equal, 98);
  assert.is(result.changed, 2);
  assert.is(result.zeroed, 1);
  assert.is(result.unmapped, 2);
  assert.is(result.firstChanged, `${TASK}:0x${(heapStart + 3n * 4096n).toString(16)}`);
});

test('an index that is cut short, foreign or misaligned is refused with one line', async () => {
  const good = record(heapStart, 4);
  const bad = [good.subarray(0, 20), record(heapStart, 1, undefined, 6), Buffer.alloc(16, 0xff)];
  for (const index of bad) {
    const { exitCode, stderr } = await check(index);
    assert.is(exitCode, 1);
    assert.is(stderr.split('\n').length, 1, stderr);
  }
});

test('wrong use of it is told in one line with exit code 2', async () => {
  for (const args of [
    [],
    ['--index', 'x'],
    ['--pid-map', '1'],
    ['--clear-soft-dirty'],
    ['--clear-soft-dirty', 'x'],
  ]) {
    const { exitCode, stderr } = await execa(MEMCHECK, args, { reject: false });
    assert.is(exitCode, 2, args.join(' '));
    assert.is(stderr.split('\n').length, 1, stderr);
  }
});

test.run();
