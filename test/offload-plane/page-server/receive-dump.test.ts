import { Duplex, duplexPair } from 'node:stream';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  CriuCommand,
  encodeCriuHeader,
  encodeCriuTarget,
} from '../../../offload-plane/page-server/criu-wire.ts';
import { receiveDump } from '../../../offload-plane/page-server/receive-dump.ts';
import type { PageTarget } from '../../../offload-plane/page-store/contract.ts';
import { OffloadError } from '../../../platform/errors.ts';
import { rejection } from '../../helpers/rejection.ts';
import { DATA, HEAP, makeStore, PAGE, pages, SHMEM, TASK } from '../page-store/fixture.ts';

const PRESENT = 4;
const LAZY = 2;

function command(
  number: number,
  target: PageTarget | undefined,
  fields: { flags?: number; vaddr?: bigint; count?: number } = {},
): Buffer {
  return encodeCriuHeader({
    command: number,
    flags: fields.flags ?? 0,
    vaddr: fields.vaddr ?? 0n,
    pageCount: BigInt(fields.count ?? 0),
    target: target === undefined ? 0n : encodeCriuTarget(target),
  });
}

function add(target: PageTarget, vaddr: bigint, flags: number, bytes: Buffer): Buffer {
  return Buffer.concat([
    command(CriuCommand.ADD_F, target, { flags, vaddr, count: bytes.length / PAGE }),
    bytes,
  ]);
}

const DUMP = Buffer.concat([
  command(CriuCommand.PARENT, TASK),
  command(CriuCommand.OPEN2, TASK),
  add(TASK, DATA, PRESENT, pages(2, 500)),
  add(TASK, HEAP, PRESENT | LAZY, pages(40)),
  add(TASK, HEAP + 64n * 4096n, PRESENT | LAZY, Buffer.alloc(5 * PAGE)),
  command(CriuCommand.OPEN2, SHMEM),
  add(SHMEM, 0n, PRESENT, pages(3, 700)),
  command(CriuCommand.CLOSE, undefined),
]);

/** A peer that sends chunks, collects answers and closes when it has the last, as CRIU does. */
function peer(chunks: Iterable<Buffer>, answerBytes: number): { stream: Duplex; answers: () => Buffer } {
  const [near, far] = duplexPair();
  let answers = Buffer.alloc(0);
  near.on('data', (chunk: Buffer) => {
    answers = Buffer.concat([answers, chunk]);
    if (answers.length >= answerBytes) near.end();
  });
  near.on('error', () => {});
  for (const chunk of chunks) near.write(chunk);
  return { stream: far, answers: () => answers };
}

async function receive(chunks: Buffer[]) {
  const { store, remove } = await makeStore();
  try {
    const writer = await store.begin('dump');
    const { stream, answers } = peer(chunks, 4 + 1 + 1 + 4);
    const summary = await receiveDump(stream, writer, { idleDeadlineMs: 60_000 });
    await writer.commit({});
    const reader = await store.open('dump');
    assert.ok((await reader.readPages(TASK, DATA, 2)).equals(pages(2, 500)));
    assert.ok((await reader.readPages(TASK, HEAP, 40)).equals(pages(40)));
    assert.ok((await reader.readPages(SHMEM, 0n, 3)).equals(pages(3, 700)));
    assert.is(reader.isZero(TASK, HEAP + 64n * 4096n), true);
    assert.equal(
      reader.segments().map((s) => [s.kind, s.pageCount, s.lazy, s.zero]),
      [
        ['shmem', 3, false, false],
        ['task', 2, false, false],
        ['task', 40, true, false],
        ['task', 5, true, true],
      ],
    );
    assert.ok(answers().equals(Buffer.alloc(10)));
    return summary;
  } finally {
    await remove();
  }
}

test('a dump arrives whole when it comes in one piece', async () => {
  const summary = await receive([DUMP]);
  assert.is(summary.pageCount, 50);
  assert.is(summary.lazyPageCount, 45);
  assert.is(summary.targetCount, 2);
  assert.is(summary.receivedBytes, DUMP.length);
});

test('a dump arrives whole when it comes byte by byte', async () => {
  const small = Buffer.concat([
    command(CriuCommand.OPEN2, TASK),
    add(TASK, HEAP, PRESENT | LAZY, pages(2)),
    command(CriuCommand.CLOSE, undefined),
  ]);
  const { store, remove } = await makeStore();
  const writer = await store.begin('dump');
  const bytes = Array.from(small, (byte) => Buffer.from([byte]));
  await receiveDump(peer(bytes, 5).stream, writer, { idleDeadlineMs: 60_000 });
  await writer.commit({});
  assert.ok((await (await store.open('dump')).readPages(TASK, HEAP, 2)).equals(pages(2)));
  await remove();
});

test('a dump arrives whole however it is cut into chunks', async () => {
  const cuts = fc.array(fc.integer({ min: 1, max: DUMP.length - 1 }), { maxLength: 30 });
  await fc.assert(
    fc.asyncProperty(cuts, async (positions) => {
      const sorted = [0, ...new Set(positions), DUMP.length].sort((a, b) => a - b);
      await receive(sorted.slice(1).map((end, i) => DUMP.subarray(sorted[i], end)));
    }),
    { numRuns: 25 },
  );
});

const OPEN = command(CriuCommand.OPEN2, TASK);
const REFUSED: [string, Buffer, RegExp][] = [
  ['an unknown command', command(99, TASK), /unknown command 99/],
  ['pages before an open', add(TASK, HEAP, PRESENT, pages(1)), /not open/],
  ['a hole', Buffer.concat([OPEN, command(CriuCommand.HOLE, TASK, { count: 1 })]), /earlier dump/],
  [
    'pages left behind',
    Buffer.concat([OPEN, command(CriuCommand.ADD_F, TASK, { flags: LAZY, count: 1 })]),
    /bring all its pages/,
  ],
  [
    'an address between pages',
    Buffer.concat([OPEN, add(TASK, HEAP + 8n, PRESENT, pages(1))]),
    /no page address/,
  ],
  [
    'an address past the end',
    Buffer.concat([OPEN, add(TASK, (1n << 56n) - 4096n, PRESENT, pages(2))]),
    /no page address/,
  ],
  [
    'no pages',
    Buffer.concat([OPEN, command(CriuCommand.ADD_F, TASK, { flags: PRESENT })]),
    /0 pages at once/,
  ],
  [
    'too many pages',
    Buffer.concat([OPEN, command(CriuCommand.ADD_F, TASK, { flags: PRESENT, count: 2 ** 40 })]),
    /limit 4194304 pages/,
  ],
  [
    'a target of no kind',
    encodeCriuHeader({ command: 4, flags: 0, pageCount: 0n, vaddr: 0n, target: 0x509n }),
    /neither a task/,
  ],
  ['an end without CLOSE', OPEN, /without CLOSE/],
  [
    'an end inside a page',
    Buffer.concat([OPEN, add(TASK, HEAP, PRESENT, pages(1)).subarray(0, 100)]),
    /in the middle/,
  ],
];
for (const [what, bytes, message] of REFUSED) {
  test(`${what} is refused and the stream ends`, async () => {
    const { store, remove } = await makeStore();
    const writer = await store.begin('dump');
    const { stream } = peer([bytes], 0);
    const [near] = [stream];
    setTimeout(() => near.destroyed || near.push(null), 50);
    const error = await rejection(receiveDump(stream, writer, { idleDeadlineMs: 60_000 }));
    assert.instance(error, OffloadError);
    assert.is(error.code, 'page_protocol_violation');
    assert.match(error.message, message);
    assert.ok(stream.destroyed);
    await remove();
  });
}

test('a peer that stalls is given up', async () => {
  const { store, remove } = await makeStore();
  const writer = await store.begin('dump');
  const error = await rejection(
    receiveDump(
      new Duplex({
        read() {},
        write(_c, _e, done) {
          done();
        },
      }),
      writer,
      { idleDeadlineMs: 30 },
    ),
  );
  assert.is(error.code, 'deadline_exceeded');
  assert.match(error.message, /no byte for 30 ms/);
  await remove();
});

test('a quota that is passed ends the dump with no_space', async () => {
  const { store, remove } = await makeStore({ quotaBytes: 10 * PAGE });
  const writer = await store.begin('dump');
  const error = await rejection(receiveDump(peer([DUMP], 100).stream, writer, { idleDeadlineMs: 60_000 }));
  assert.is(error.code, 'no_space');
  await remove();
});

test('random bytes never do more than end the dump', async () => {
  const { store, remove } = await makeStore();
  let n = 0;
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 200 }), async (bytes) => {
      const writer = await store.begin(`fuzz-${n++}`);
      const { stream } = peer([OPEN, Buffer.from(bytes)], 1);
      const error = await rejection(receiveDump(stream, writer, { idleDeadlineMs: 60_000 }));
      assert.instance(error, OffloadError);
      await writer.abort();
    }),
    { numRuns: 60 },
  );
  await remove();
});

test.run();
