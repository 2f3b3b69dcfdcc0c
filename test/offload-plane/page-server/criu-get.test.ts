import { duplexPair } from 'node:stream';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { serveCriuGet } from '../../../offload-plane/page-server/criu-get.ts';
import {
  CriuCommand,
  decodeCriuHeader,
  encodeCriuHeader,
} from '../../../offload-plane/page-server/criu-wire.ts';
import { OffloadError } from '../../../platform/errors.ts';
import { rejection } from '../../helpers/rejection.ts';
import { HEAP, HEAP_PAGES, heapBytes, PAGE, withCheckpoint } from '../page-store/fixture.ts';

const get = (vaddr: bigint, pageCount: number, target = 42n) =>
  encodeCriuHeader({ command: CriuCommand.GET, flags: 0, pageCount: BigInt(pageCount), vaddr, target });
const CLOSE = encodeCriuHeader({
  command: CriuCommand.CLOSE,
  flags: 0,
  pageCount: 0n,
  vaddr: 0n,
  target: 0n,
});

test('answers come in order, with zero pages filled in and no page past the end', async () => {
  await withCheckpoint(async ({ reader }) => {
    const [near, far] = duplexPair();
    let answers = Buffer.alloc(0);
    const expectedBytes = 32 + 90 * PAGE + 32 + 10 * PAGE + 4;
    near.on('data', (chunk: Buffer) => {
      answers = Buffer.concat([answers, chunk]);
      if (answers.length === expectedBytes) near.end();
    });
    near.write(
      Buffer.concat([get(HEAP + 50n * 4096n, 90), get(HEAP + BigInt((HEAP_PAGES - 10) * PAGE), 64), CLOSE]),
    );
    const summary = await serveCriuGet(far, reader);
    assert.equal(summary, { requestCount: 2, pageCount: 100 });
    const first = decodeCriuHeader(answers);
    assert.equal(first, {
      command: CriuCommand.ADD_F,
      flags: 4,
      pageCount: 90n,
      vaddr: HEAP + 50n * 4096n,
      target: 42n,
    });
    assert.ok(answers.subarray(32, 32 + 90 * PAGE).equals(heapBytes().subarray(50 * PAGE, 140 * PAGE)));
    const second = answers.subarray(32 + 90 * PAGE);
    assert.is(decodeCriuHeader(second).pageCount, 10n);
    assert.ok(second.subarray(32, 32 + 10 * PAGE).equals(heapBytes().subarray((HEAP_PAGES - 10) * PAGE)));
    assert.ok(second.subarray(-4).equals(Buffer.alloc(4)));
  });
});

test('requests for pages that are not there, too many pages and other commands end the stream', async () => {
  await withCheckpoint(async ({ reader }) => {
    const cases: [Buffer, RegExp][] = [
      [get(0x1000n, 1), /0x1000, which is not there/],
      [get(HEAP, 2 ** 40), /limit 4096 pages/],
      [get(HEAP, 1, 0n), /GET from task 0/],
      [encodeCriuHeader({ command: 1, flags: 0, pageCount: 1n, vaddr: 0n, target: 0n }), /unknown command 1/],
    ];
    for (const [request, message] of cases) {
      const [near, far] = duplexPair();
      near.on('error', () => {});
      near.write(request);
      const error = await rejection(serveCriuGet(far, reader));
      assert.instance(error, OffloadError);
      assert.match(error.message, message);
      assert.ok(far.destroyed);
    }
  });
});

test.run();
