/** What CRIU sends with --track-mem and --prev-images-dir: changed pages, and holes for the others. */
import { duplexPair } from 'node:stream';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  CriuCommand,
  encodeCriuHeader,
  encodeCriuTarget,
  PagemapFlag,
} from '../../../offload-plane/page-server/criu-wire.ts';
import { receiveDump } from '../../../offload-plane/page-server/receive-dump.ts';
import type { CheckpointWriter, PageTarget } from '../../../offload-plane/page-store/contract.ts';
import { rejection } from '../../helpers/rejection.ts';
import { HEAP, makeStore, OTHER, PAGE, pages, SHMEM, TASK } from '../page-store/fixture.ts';

const LAZY = PagemapFlag.PRESENT | PagemapFlag.LAZY;

function command(number: number, target: PageTarget, flags = 0, page = 0, count = 0): Buffer {
  return encodeCriuHeader({
    command: number,
    flags,
    vaddr: HEAP + BigInt(page * PAGE),
    pageCount: BigInt(count),
    target: encodeCriuTarget(target),
  });
}

const add = (target: PageTarget, page: number, bytes: Buffer) =>
  Buffer.concat([command(CriuCommand.ADD_F, target, LAZY, page, bytes.length / PAGE), bytes]);
const hole = (target: PageTarget, page: number, count: number) =>
  command(CriuCommand.ADD_F, target, PagemapFlag.PARENT, page, count);
const open = (target: PageTarget) => command(CriuCommand.OPEN2, target);
const CLOSE = command(CriuCommand.CLOSE, TASK);

/** Sends a dump and gives the answers; the last four bytes are the one to CLOSE. */
async function send(writer: CheckpointWriter, parts: readonly Buffer[]) {
  const [near, far] = duplexPair();
  let answers = Buffer.alloc(0);
  const bytesOf: Record<number, number> = { [CriuCommand.OPEN2]: 1, [CriuCommand.PARENT]: 4 };
  const expected = parts.reduce((sum, part) => sum + (bytesOf[part.readUInt16LE(0)] ?? 0), 4);
  near.on('data', (chunk: Buffer) => {
    answers = Buffer.concat([answers, chunk]);
    if (answers.length >= expected) near.end();
  });
  near.on('error', () => {});
  for (const part of parts) near.write(part);
  const summary = await receiveDump(far, writer, { idleDeadlineMs: 60_000 });
  return { summary, answers };
}

const FIRST = [open(TASK), add(TASK, 0, pages(300)), open(OTHER), add(OTHER, 0, pages(5, 900)), CLOSE];

test('pages left to the earlier dump come from it, what is not named is gone, and only changes cross', async () => {
  const { store, remove } = await makeStore();
  const base = await store.begin('pre');
  const first = await send(base, [command(CriuCommand.PARENT, TASK), ...FIRST]);
  assert.equal([...first.answers.subarray(0, 6)], [0, 0, 0, 0, 0, 0], 'there is no earlier dump');
  await base.commit({});
  const writer = await store.begin('final', { parent: 'pre', inherit: 'named' });
  const stranger: PageTarget = { kind: 'task', id: 77 };
  const { summary, answers } = await send(writer, [
    command(CriuCommand.PARENT, TASK),
    command(CriuCommand.PARENT, stranger),
    open(TASK),
    hole(TASK, 0, 100),
    add(TASK, 100, pages(10, 5000)),
    command(CriuCommand.HOLE, TASK, 0, 110, 90),
    // 200 to 249 were unmapped meanwhile
    hole(TASK, 250, 50),
    open(stranger),
    add(stranger, 0, pages(2, 8000)),
    CLOSE,
  ]);
  assert.equal([...answers], [1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0]);
  assert.is(summary.inheritedPageCount, 240);
  assert.is(summary.pageCount, 252);
  assert.ok(summary.receivedBytes < 14 * PAGE);
  const manifest = await writer.commit({});
  assert.is(manifest.pageCount, 252);
  const reader = await store.open('final');
  const expected = pages(300);
  pages(10, 5000).copy(expected, 100 * PAGE);
  assert.ok((await reader.readPages(TASK, HEAP, 200)).equals(expected.subarray(0, 200 * PAGE)));
  const tail = await reader.readPages(TASK, HEAP + BigInt(250 * PAGE), 50);
  assert.ok(tail.equals(expected.subarray(250 * PAGE)));
  assert.is(reader.pageDigest(TASK, HEAP + BigInt(200 * PAGE)), undefined);
  assert.equal(reader.targets(), [TASK, stranger], 'a task that is gone is not inherited');
  assert.ok(reader.segments().every(({ lazy }) => lazy));
  await remove();
});

test('shared memory is taken whole: CRIU is told that there is no earlier dump of it', async () => {
  const { store, remove } = await makeStore();
  const base = await store.begin('pre');
  await send(base, [open(SHMEM), add(SHMEM, 0, pages(3)), CLOSE]);
  await base.commit({});
  const writer = await store.begin('final', { parent: 'pre', inherit: 'named' });
  const { answers } = await send(writer, [command(CriuCommand.PARENT, SHMEM), open(SHMEM), CLOSE]);
  assert.equal([...answers], [0, 0, 0, 0, 0, 0, 0, 0, 0]);
  await writer.abort();
  const refused = await store.begin('final', { parent: 'pre', inherit: 'named' });
  assert.match((await rejection(send(refused, [open(SHMEM), hole(SHMEM, 0, 1)]))).message, /there is none/);
  await remove();
});

for (const [what, parts, message] of [
  ['a hole for pages the earlier dump lacks', [open(TASK), hole(TASK, 299, 2)], /task 42 has no page at/],
  [
    'a hole of a task it lacks',
    [open({ kind: 'task', id: 9 }), hole({ kind: 'task', id: 9 }, 0, 1)],
    /there is none/,
  ],
  ['a hole for a target that is not open', [open(TASK), hole(OTHER, 0, 1)], /not open/],
  ['a hole with other flags', [open(TASK), command(CriuCommand.ADD_F, TASK, 8 | 1, 0, 1)], /flags 0x9/],
  ['a hole past all bounds', [open(TASK), hole(TASK, 0, 2 ** 40)], /limit 4194304 pages/],
] as const) {
  test(`${what} is refused`, async () => {
    const { store, remove } = await makeStore();
    const base = await store.begin('pre');
    await send(base, FIRST);
    await base.commit({});
    const writer = await store.begin('final', { parent: 'pre', inherit: 'named' });
    const error = await rejection(send(writer, parts));
    assert.is(error.code, 'page_protocol_violation');
    assert.match(error.message, message);
    await remove();
  });
}

test.run();
