/** Golden frames and CRIU requests, changed by fast-check: whoever sends them ends its own conversation, no more. */
import { duplexPair } from 'node:stream';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type FrameHeader, HEADER_BYTES, MAX_PAYLOAD_BYTES } from '../../../interconnect/page-protocol.ts';
import { serveCriuGet } from '../../../offload-plane/page-server/criu-get.ts';
import { CriuCommand, encodeCriuHeader } from '../../../offload-plane/page-server/criu-wire.ts';
import { DumpParser } from '../../../offload-plane/page-server/dump-parser.ts';
import { FrameReader } from '../../../offload-plane/page-server/frame-reader.ts';
import { createPageServer } from '../../../offload-plane/page-server/server.ts';
import { withDeadline } from '../../../platform/deadline.ts';
import { OffloadError } from '../../../platform/errors.ts';
import { golden } from '../../helpers/golden.ts';
import { HEAP, makeStore, PAGE, withCheckpoint } from '../page-store/fixture.ts';
import { FakePager } from './fake-pager.ts';

const NAMES = [
  'hello',
  'hello-resume',
  'credit',
  'fault',
  'restored',
  'status',
  'done',
  'missing',
  'missing-end',
];
const FRAMES = NAMES.map(golden);
const ODD = [0, 1, 4095, 4096, 2 ** 31, 2 ** 32 - 1];

type Change = (bytes: Buffer) => Buffer;
const change: fc.Arbitrary<Change> = fc.oneof(
  fc.tuple(fc.nat(HEADER_BYTES - 1), fc.nat(7)).map(([at, bit]) => (bytes: Buffer) => {
    bytes[at]! ^= 1 << bit;
    return bytes;
  }),
  fc
    .tuple(fc.constantFrom(4, 8, 12, 16, 20, 24, 28), fc.constantFrom(...ODD))
    .map(([at, value]) => (bytes: Buffer) => {
      bytes.writeUInt32LE(value, at);
      return bytes;
    }),
  fc.nat(200).map((length) => (bytes: Buffer) => bytes.subarray(0, length)),
  fc.constant((bytes: Buffer) => Buffer.concat([bytes, bytes])),
  fc.constant((bytes: Buffer) => bytes),
);

/** Frames in any order, most of them whole. */
const frames = fc
  .array(fc.tuple(fc.constantFrom(...FRAMES), change), { maxLength: 12 })
  .map((parts) => Buffer.concat(parts.map(([frame, apply]) => apply(Buffer.from(frame)))));

test('a frame reader delivers the same frames however they are cut, and never holds more than one payload', () => {
  fc.assert(
    fc.property(frames, fc.array(fc.nat(400), { maxLength: 20 }), (bytes, cuts) => {
      const read = (chunks: readonly Buffer[]) => {
        const seen: string[] = [];
        const reader = new FrameReader();
        const take = (header: FrameHeader, payload: Buffer) => {
          assert.ok(payload.length <= MAX_PAYLOAD_BYTES);
          seen.push(`${header.type} ${payload.toString('hex')}`);
        };
        try {
          for (const chunk of chunks) reader.push(chunk, take);
        } catch (error) {
          assert.instance(error, OffloadError);
          seen.push((error as OffloadError).message);
        }
        return seen;
      };
      const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
      const pieces = places.slice(1).map((end, i) => bytes.subarray(places[i], end));
      assert.equal(read(pieces), read([bytes]));
    }),
    { numRuns: 300 },
  );
});

test('a session that gets hostile frames ends or goes on, and the server stays whole', async () => {
  await withCheckpoint(async ({ reader }) => {
    await fc.assert(
      fc.asyncProperty(fc.boolean(), frames, async (authorised, bytes) => {
        const local = createPageServer();
        const session = local.openSession({ guest: 'g1', reader, policy: 'lazy', record: true });
        const pager = new FakePager(local);
        if (authorised) pager.hello(session.token);
        pager.stream.write(bytes);
        await new Promise((resolve) => setImmediate(resolve));
        await withDeadline(local.close(), 60_000, 'close');
        assert.is(local.sessionCount, 0);
      }),
      { numRuns: 300 },
    );
  });
});

const request = fc
  .record({
    command: fc.oneof(fc.constantFrom(...Object.values(CriuCommand)), fc.nat(0xffff)),
    flags: fc.nat(0xffff),
    pageCount: fc.oneof(fc.bigInt(0n, 70n), fc.bigInt(0n, 2n ** 64n - 1n)),
    vaddr: fc.oneof(
      fc.nat(400).map((page) => HEAP + BigInt(page * PAGE)),
      fc.bigInt(0n, 2n ** 64n - 1n),
    ),
    target: fc.oneof(
      fc.constantFrom(42n, 43n, (42n << 8n) | 1n, (7n << 8n) | 2n),
      fc.bigInt(0n, 2n ** 64n - 1n),
    ),
  })
  .map((header) => encodeCriuHeader(header));

test('a lazy-pages client gets answers or an end to its stream, whatever it asks', async () => {
  await withCheckpoint(async ({ reader }) => {
    await fc.assert(
      fc.asyncProperty(fc.array(request, { maxLength: 6 }), fc.nat(31), async (requests, cut) => {
        const [near, far] = duplexPair();
        near.on('error', () => {});
        near.resume();
        near.end(Buffer.concat([...requests, Buffer.alloc(cut, 1)]));
        await withDeadline(serveCriuGet(far, reader, { idleDeadlineMs: 60_000 }), 60_000, 'get').catch(
          (error) => {
            assert.instance(error, OffloadError);
            assert.is((error as OffloadError).code, 'page_protocol_violation', String(error));
          },
        );
      }),
      { numRuns: 300 },
    );
  });
});

test('a dump parser takes or refuses whatever commands come, and keeps no page of them', async () => {
  const { store, remove } = await makeStore();
  let dumps = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(request, { maxLength: 8 }),
      fc.uint8Array({ maxLength: 64 }),
      async (requests, end) => {
        const writer = await store.begin(`fuzz-${dumps++}`);
        let answerBytes = 0;
        const answer = (bytes: Buffer) => {
          answerBytes += bytes.length;
        };
        const parser = new DumpParser({ writer, maxPageCount: 1000, answer });
        try {
          await parser.push(Buffer.concat([...requests, Buffer.from(end), Buffer.alloc(3 * PAGE)]));
        } catch (error) {
          assert.instance(error, OffloadError);
          assert.is((error as OffloadError).code, 'page_protocol_violation', String(error));
        }
        assert.ok(parser.pageCount <= 1000 + 2 ** 22 && answerBytes <= 4 * requests.length + 512);
        await writer.abort();
      },
    ),
    { numRuns: 200 },
  );
  assert.is(store.usedBytes, 0);
  await remove();
});

test.run();
