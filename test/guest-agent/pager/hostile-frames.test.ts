/**
 * Golden frames, changed by seed, against the pager built with the address sanitizer; PAGER_FUZZ_SEEDS says how
 * many conversations of some nine frames.
 */
import { readFileSync } from 'node:fs';
import { createConnection, createServer } from 'node:net';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import {
  encodeFrame,
  encodePages,
  encodeRanges,
  FrameType,
  HEADER_BYTES,
  PAGE_BYTES,
  PageFlag,
} from '../../../interconnect/page-protocol.ts';
import { withDeadline } from '../../../platform/deadline.ts';
import { childrenOf } from '../../helpers/criu-heap.ts';
import { golden } from '../../helpers/golden.ts';
import { ASAN_PAGER, make, PAGER, startPager } from '../../helpers/pager-program.ts';
import { type Draw, seeded, seedsOf } from '../../helpers/seeded.ts';
import { test } from '../../helpers/suite.ts';
import { tempDirectory, writeInto } from '../../helpers/temp-directory.ts';
import { frameDigest } from './fake-plane.ts';

const CONVERSATION = [
  'map',
  'map-end',
  'file-pages',
  'files-end',
  'pages-push',
  'mark',
  'pages-fill',
  'pages-demand',
  'end',
];
const OTHERS = ['hello', 'credit', 'fault', 'done', 'error', 'missing', 'abort'];
const ODD_NUMBERS = [
  0n,
  1n,
  63n,
  65n,
  4095n,
  4096n,
  (1n << 31n) - 1n,
  1n << 31n,
  (1n << 32n) - 1n,
  (1n << 47n) - 4096n,
  1n << 47n,
  (1n << 64n) - 4096n,
  (1n << 64n) - 1n,
];
/** Offset and bytes of each field of a header. */
const FIELDS = [
  [0, 2],
  [2, 2],
  [4, 4],
  [8, 8],
  [16, 4],
  [20, 4],
  [24, 8],
] as const;
const AT_ONCE = 4;
const DEADLINE_MS = 180_000;

test.before(async () => {
  await make('all', 'asan');
});

function writeNumber(frame: Buffer, offset: number, bytes: number, value: bigint): void {
  for (let i = 0; i < bytes; i++) frame[offset + i] = Number((value >> BigInt(8 * i)) & 0xffn);
}

/** One thing goes wrong with one frame, or with their order. */
function spoil(frames: Buffer[], draw: Draw): void {
  const at = draw(frames.length);
  const frame = frames[at];
  if (frame === undefined) return;
  const odd = () => ODD_NUMBERS[draw(ODD_NUMBERS.length)]!;
  const ways: (() => void)[] = [
    () => {
      frame[draw(frame.length)]! ^= 1 << draw(8);
    },
    () => {
      frame[draw(HEADER_BYTES)]! ^= 1 << draw(8);
    },
    () => {
      const [offset, bytes] = FIELDS[draw(FIELDS.length)]!;
      writeNumber(frame, offset, bytes, odd());
    },
    () => {
      frames.splice(at, 1);
    },
    () => {
      frames.splice(draw(frames.length), 0, Buffer.from(frame));
    },
    () => {
      frames.push(...frames.splice(at, 1 + draw(3)));
    },
    () => {
      frames[at] = frame.subarray(0, draw(frame.length));
    },
    () => {
      frames.splice(at, 0, golden(OTHERS[draw(OTHERS.length)]!));
    },
    () => {
      frames.splice(at, 0, Buffer.from(Array.from({ length: draw(200) }, () => draw(256))));
    },
    () => {
      const ranges = Array.from({ length: 1 + draw(4) }, () => ({
        task: Number(odd() & 0xffff_ffffn),
        vaddr: odd(),
        pageCount: Number(odd() & 0xffff_ffffn),
      }));
      frames.splice(at, 0, encodeFrame({ type: FrameType.MAP }, encodeRanges(ranges)));
    },
    () => {
      const payload = Buffer.alloc((1 + draw(64)) * PAGE_BYTES, draw(256));
      const header = {
        type: draw(2) === 0 ? FrameType.PAGES : FrameType.FILE_PAGES,
        flags: draw(6),
        task: 42,
        vaddr: draw(2) === 0 ? golden('pages-push').readBigUInt64LE(8) : odd(),
        pageCount: payload.length / PAGE_BYTES,
        value: frameDigest(payload),
      };
      frames.splice(at, 0, encodeFrame(header, payload));
    },
    () => {
      const pages = Buffer.alloc((1 + draw(64)) * PAGE_BYTES, draw(256));
      const vaddr = golden('map').readBigUInt64LE(HEADER_BYTES + 8);
      const ranges = Array.from({ length: draw(66) }, () => ({
        task: draw(4) > 0 ? 42 : 43,
        vaddr: draw(4) > 0 ? vaddr + BigInt(draw(4) * PAGE_BYTES) : odd(),
        pageCount: draw(8) > 0 ? draw(4) : Number(odd() & 0xffff_ffffn),
      }));
      frames.splice(at, 0, encodePages({ flags: 1 << draw(3), value: frameDigest(pages) }, ranges, pages));
    },
  ];
  ways[draw(ways.length)]!();
}

function conversation(draw: Draw): Buffer {
  const frames = CONVERSATION.map(golden);
  for (let changes = 1 + draw(4); changes > 0; changes--) spoil(frames, draw);
  return Buffer.concat(frames);
}

/** What the pager makes of these bytes from its plane, and of noise from CRIU. */
async function converse(seed: number): Promise<void> {
  const draw = seeded(seed);
  const directory = tempDirectory('pager');
  const bytes = conversation(draw);
  const plane = createServer((socket) => {
    socket.on('error', () => {});
    plane.close(); // no second chance
    const cut = draw(bytes.length);
    socket.write(bytes.subarray(0, cut));
    socket.end(bytes.subarray(cut));
  }).listen(join(directory, 'plane.sock'));
  const token = writeInto(directory, 'token', Buffer.alloc(32));
  const pager = startPager(
    [
      ...[
        '--connect',
        `unix:${join(directory, 'plane.sock')}`,
        '--token-file',
        token,
        '--deadline-ms',
        '150',
      ],
      ...['--work-dir', directory, '--images-dir', directory],
    ],
    ASAN_PAGER,
  );
  void pager.ready.then(
    () => {
      if (draw(2) === 0) return;
      const criu = createConnection(join(directory, 'lazy-pages.socket'));
      criu.on('error', () => {});
      criu.end(Buffer.from(Array.from({ length: draw(40) }, () => draw(3) * draw(128))));
    },
    () => {},
  );
  const { exitCode, stderr } = await withDeadline(pager.ended, DEADLINE_MS, 'pager');
  const told = `seed ${seed} (PAGER_FUZZ_SEEDS_FROM=${seed} PAGER_FUZZ_SEEDS=1), exit ${exitCode}: ${stderr}`;
  assert.ok(exitCode === 0 || exitCode === 1, told);
  assert.not.match(stderr, /Sanitizer|runtime error|pager (killed|ended)/, told);
  assert.is(stderr.split('\n').length, 1, told);
}

test('whatever a plane and CRIU send, the pager says what is wrong in one line and ends', async () => {
  const seeds = seedsOf('PAGER_FUZZ_SEEDS', 220);
  const frameCount = seeds.length * CONVERSATION.length;
  const startedMs = performance.now();
  const workers = Array.from({ length: AT_ONCE }, async () => {
    for (let seed = seeds.pop(); seed !== undefined; seed = seeds.pop()) await converse(seed);
  });
  await Promise.all(workers);
  console.log(`some ${frameCount} frames in ${Math.round(performance.now() - startedMs)} ms`);
});

/** A pager in its first conversation with a plane that says `first`, and whose socket stays open. */
async function floods(
  first: readonly Buffer[],
  then: (write: (bytes: Buffer) => Promise<void>) => Promise<void>,
) {
  const directory = tempDirectory('pager');
  const plane = createServer((socket) => {
    socket.on('error', () => {});
    for (const bytes of first) socket.write(bytes);
    const write = (bytes: Buffer) =>
      new Promise<void>((resolve) => {
        if (socket.destroyed) return resolve();
        socket.once('close', resolve);
        socket.write(bytes, () => {
          socket.off('close', resolve);
          resolve();
        });
      });
    void then(write);
  }).listen(join(directory, 'plane.sock'));
  const token = writeInto(directory, 'token', Buffer.alloc(32));
  const pager = startPager(
    [
      ...['--connect', `unix:${join(directory, 'plane.sock')}`, '--token-file', token],
      ...['--work-dir', directory, '--images-dir', directory],
    ],
    PAGER,
  );
  pager.ended.then(() => plane.close());
  return pager;
}

test('a plane that sends beyond its credit is given up before memory fills', async () => {
  const ranges = [{ task: 1, vaddr: 0x10000n, pageCount: 64 }];
  const payload = Buffer.alloc(64 * PAGE_BYTES, 7);
  const frame = encodePages({ flags: PageFlag.PUSH, value: frameDigest(payload) }, ranges, payload);
  const first = [
    encodeFrame({ type: FrameType.MAP }, encodeRanges(ranges)),
    encodeFrame({ type: FrameType.MAP_END, value: 64n }),
    encodeFrame({ type: FrameType.FILES_END }),
  ];
  const pager = await floods(first, async (write) => {
    for (let i = 0; i < 1100; i++) await write(frame);
  });
  const { exitCode, stderr } = await withDeadline(pager.ended, DEADLINE_MS, 'pager');
  assert.is(exitCode, 1);
  assert.match(stderr, /the plane sends beyond its credit, limit 268435456 bytes/);
});

test('the largest map takes no more memory than its pages need', async () => {
  const ranges = Array.from({ length: 4096 }, (_, i) => ({ task: i + 1, vaddr: 0x10000n, pageCount: 4096 }));
  const first = [
    encodeFrame({ type: FrameType.MAP }, encodeRanges(ranges)),
    encodeFrame({ type: FrameType.MAP_END, value: BigInt(4096 * 4096) }),
    encodeFrame({ type: FrameType.FILES_END }),
  ];
  const pager = await floods(first, async () => {});
  await withDeadline(pager.ready, DEADLINE_MS, 'pager');
  const [pid] = childrenOf(pager.pid);
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  assert.ok(Number(/VmHWM:\s*(\d+) kB/.exec(status)![1]) < 64 * 1024, status);
  pager.kill('SIGTERM');
  await pager.ended;
});

test.run();
