import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import * as assert from 'uvu/assert';
import {
  decodeCounters,
  encodeFrame,
  encodePages,
  encodeRanges,
  FrameType,
  HELLO_RESUME,
  PAGE_BYTES,
  PageFlag,
  PROTOCOL_VERSION,
} from '../../../interconnect/page-protocol.ts';
import { makeCgroup } from '../../helpers/cgroup.ts';
import { type Checkpoint, checkpointHeap, type RestoredHeap, restoreHeap } from '../../helpers/criu-heap.ts';
import { criuMissing, criuTest } from '../../helpers/criu-test.ts';
import { buildPrograms, type RunningPager, startPager } from '../../helpers/pager-program.ts';
import { test } from '../../helpers/suite.ts';
import { tempDirectory, writeInto } from '../../helpers/temp-directory.ts';
import { FakePlane, frameDigest } from './fake-plane.ts';

const TOKEN = Buffer.alloc(32, 7);
let checkpoint: Checkpoint;

test.before(async () => {
  await buildPrograms();
  if (criuMissing === '') checkpoint = await checkpointHeap(16, 4);
});

interface World {
  plane: FakePlane;
  pager: RunningPager;
  images: string;
  /** Once the map was sent. */
  restore(): Promise<RestoredHeap>;
}

/** A test with a pager whose HELLO has arrived. */
function sessionTest(title: string, body: (world: World) => Promise<void>, ...more: string[]): void {
  criuTest(title, async () => {
    const directory = tempDirectory('pager');
    const images = join(directory, 'images');
    mkdirSync(images);
    const plane = new FakePlane(join(directory, 'plane.sock'), checkpoint.images);
    const token = writeInto(directory, 'token', TOKEN);
    const args = ['--connect', `unix:${plane.path}`, '--token-file', token, '--work-dir', checkpoint.work];
    const patient = ['--deadline-ms', '120000'];
    const pager = startPager([...args, '--images-dir', images, ...patient, ...more]);
    const restores: RestoredHeap[] = [];
    try {
      await plane.received(FrameType.CREDIT);
      await body({
        plane,
        pager,
        images,
        restore: async () => {
          await pager.ready;
          const restored = await restoreHeap(checkpoint.directory);
          restores.push(restored);
          assert.is(restored.exitCode, 0);
          return restored;
        },
      });
    } finally {
      pager.kill('SIGKILL');
      await pager.ended;
      for (const restored of restores) await restored.end();
      await plane.close();
    }
  });
}

sessionTest('says hello with its token and gives credit for 1024 pages', async ({ plane }) => {
  const [hello, credit] = plane.frames;
  assert.is(hello!.type, FrameType.HELLO);
  assert.is(hello!.value, BigInt(PROTOCOL_VERSION));
  assert.is(hello!.flags, 0);
  assert.equal(hello!.payload, TOKEN);
  assert.is(credit!.pageCount, 1024);
});

sessionTest('a lazy restore asks for every page once and ends with the digest of all', async (world) => {
  const { plane, pager } = world;
  plane.sendMap();
  const restored = await world.restore();
  await plane.received(FrameType.RESTORED);
  assert.is(await restored.ask('walk'), 'ok');
  plane.send({ type: FrameType.MARK, value: 42n });
  const status = await plane.received(FrameType.STATUS);
  assert.is(status.value, 42n);
  assert.ok(decodeCounters(status.payload).demandFaults > 3000);
  const faults = plane.frames.filter((frame) => frame.type === FrameType.FAULT).map((frame) => frame.vaddr);
  assert.is(new Set(faults).size, faults.length);
  plane.sendAll(plane.ranges, PageFlag.FILL);
  plane.send({ type: FrameType.END });
  const counters = await plane.done();
  assert.is(counters.installed, plane.pageCount);
  assert.is(counters.memoryDigest, plane.memoryDigest());
  assert.ok(counters.duplicates > 3000, 'what had been demanded came again with the fill');
  plane.cut();
  assert.is((await pager.ended).exitCode, 0);
});

sessionTest('pages pushed before CRIU comes are in place without a fault', async (world) => {
  const { plane, pager } = world;
  plane.sendMap();
  plane.sendAll(plane.ranges, PageFlag.PUSH);
  plane.send({ type: FrameType.END });
  const restored = await world.restore();
  const counters = await plane.done();
  assert.is(await restored.ask('walk'), 'ok');
  assert.is(counters.pushed, plane.pageCount);
  assert.ok(counters.demandFaults === 0, `${counters.demandFaults} faults`);
  assert.is(counters.memoryDigest, plane.memoryDigest());
  const credit = plane.frames.filter((frame) => frame.type === FrameType.CREDIT);
  const given = credit.reduce((sum, frame) => sum + frame.pageCount, 0);
  assert.ok(given > plane.pageCount, 'credit came back');
  plane.cut();
  assert.is((await pager.ended).exitCode, 0);
});

sessionTest(
  'scattered pages of one frame each find their place, in whatever order it has them',
  async (world) => {
    const { plane, pager } = world;
    plane.sendMap();
    const pages = plane.ranges
      .flatMap(({ task, vaddr, pageCount }) =>
        Array.from({ length: pageCount }, (_, i) => ({
          task,
          vaddr: vaddr + BigInt(i * PAGE_BYTES),
          pageCount: 1,
        })),
      )
      .sort((a, b) => Number((a.vaddr * 40_503n) % 65_537n) - Number((b.vaddr * 40_503n) % 65_537n));
    const half = pages.length >> 1;
    const sendFrom = (first: number, end: number) => {
      for (let i = first; i < end; i += 64)
        plane.sendRanges(pages.slice(i, Math.min(i + 64, end)), PageFlag.PUSH);
    };
    sendFrom(0, half); // while CRIU has not come, and after it
    const restored = await world.restore();
    await plane.received(FrameType.RESTORED);
    sendFrom(half, pages.length);
    plane.send({ type: FrameType.END });
    const counters = await plane.done();
    assert.is(await restored.ask('walk'), 'ok');
    assert.is(counters.installed, plane.pageCount);
    assert.is(counters.memoryDigest, plane.memoryDigest());
    plane.cut();
    assert.is((await pager.ended).exitCode, 0);
  },
);

sessionTest('pages that were discarded and unmapped are named before DONE', async (world) => {
  const { plane, pager } = world;
  plane.sendMap();
  const restored = await world.restore();
  for (const command of ['discard', 'unmap', 'remap']) assert.is(await restored.ask(command), 'ok');
  plane.sendAll(plane.ranges, PageFlag.FILL);
  plane.send({ type: FrameType.END });
  const counters = await plane.done();
  assert.is(await restored.ask('walk'), 'ok');
  assert.ok(counters.dropped > 900);
  assert.is(counters.installed + counters.dropped, plane.pageCount);
  const named = plane.missing().reduce((sum, range) => sum + range.pageCount, 0);
  assert.is(named, counters.dropped);
  plane.cut();
  assert.is((await pager.ended).exitCode, 0);
});

sessionTest(
  'a cut connection is resumed with what is missing, and open faults are asked again',
  async (world) => {
    const { plane, pager } = world;
    const pushed = plane.ranges.filter((_, i) => i % 2 === 0);
    plane.sendMap();
    plane.sendAll(pushed, PageFlag.PUSH);
    const restored = await world.restore();
    await plane.received(FrameType.RESTORED);
    plane.send({ type: FrameType.MARK, value: 1n });
    await plane.received(FrameType.STATUS); // it has what was sent before
    plane.frames.length = 0;
    plane.onFault = () => {};
    const walk = restored.ask('walk');
    await plane.received(FrameType.FAULT);
    plane.frames.length = 0;
    plane.cut();
    await plane.received(FrameType.MISSING_END);
    const hello = plane.frames[0]!;
    assert.is(hello.type, FrameType.HELLO);
    assert.is(hello.flags, HELLO_RESUME);
    const missingCount = plane.missing().reduce((sum, range) => sum + range.pageCount, 0);
    const pushedCount = pushed.reduce((sum, range) => sum + range.pageCount, 0);
    assert.ok(missingCount <= plane.pageCount - pushedCount, 'CRIU itself may have faulted on a few');
    assert.ok(missingCount > plane.pageCount - pushedCount - 32);
    await plane.received(FrameType.FAULT);
    plane.sendAll(plane.missing(), PageFlag.FILL);
    plane.send({ type: FrameType.END });
    assert.is(await walk, 'ok');
    assert.is((await plane.done()).memoryDigest, plane.memoryDigest());
    plane.cut();
    assert.is((await pager.ended).exitCode, 0);
  },
);

sessionTest(
  'a pager whose connection ends right behind the last page says over the next one that all is there',
  async (world) => {
    const { plane, pager } = world;
    plane.sendMap();
    const restored = await world.restore();
    await plane.received(FrameType.RESTORED);
    plane.sendAll(plane.ranges, PageFlag.FILL);
    plane.send({ type: FrameType.END });
    plane.frames.length = 0;
    plane.hangUp();
    await plane.received(FrameType.MISSING_END);
    assert.equal(plane.missing(), []);
    plane.frames.length = 0;
    plane.send({ type: FrameType.END });
    assert.is((await plane.done()).memoryDigest, plane.memoryDigest());
    assert.is(await restored.ask('walk'), 'ok');
    assert.is((await pager.ended).exitCode, 0);
  },
);

sessionTest(
  'file pages land in the images directory before it is ready',
  async ({ plane, pager, images }) => {
    const payload = Buffer.concat([Buffer.alloc(PAGE_BYTES, 1), Buffer.alloc(PAGE_BYTES, 2)]);
    const frame = (vaddr: bigint) =>
      plane.send(
        { type: FrameType.FILE_PAGES, task: 3, vaddr, pageCount: 2, value: frameDigest(payload) },
        payload,
      );
    frame(0n);
    frame(BigInt(2 * PAGE_BYTES));
    plane.send({ type: FrameType.MAP_END });
    plane.send({ type: FrameType.FILES_END, value: 4n });
    await pager.ready;
    assert.equal(readFileSync(join(images, 'pages-3.img')), Buffer.concat([payload, payload]));
    plane.send({ type: FrameType.END });
    const counters = await plane.done();
    assert.is(counters.filePages, 4);
    plane.cut();
    assert.is((await pager.ended).exitCode, 0);
  },
);

sessionTest(
  'file pages for which there is no room end the pager before it is ready',
  async ({ plane, pager, images }) => {
    const full = writeInto(images, 'pages-3.img', '');
    await execa('mount', ['--bind', '/dev/full', full]);
    try {
      const payload = Buffer.alloc(PAGE_BYTES, 1);
      plane.send(
        { type: FrameType.FILE_PAGES, task: 3, vaddr: 0n, pageCount: 1, value: frameDigest(payload) },
        payload,
      );
      const { exitCode, stderr } = await pager.ended;
      assert.is(exitCode, 1);
      assert.is(stderr, 'offload-pager: page session: write to pages-3.img: No space left on device');
      const error = await plane.received(FrameType.ERROR);
      assert.match(error.payload.toString(), /No space left on device/);
    } finally {
      await execa('umount', [full]);
    }
  },
);

/** Each: what the plane does wrong while the heap waits for a page, and what the pager says about it. */
const misdeeds: [string, RegExp, (plane: FakePlane, vaddr: bigint) => void][] = [
  [
    'a page whose digest is wrong',
    /digest mismatch/,
    (plane, vaddr) =>
      plane.sendPages(vaddr, 1, PageFlag.DEMAND, (payload) => payload.writeUInt8(payload[5]! ^ 1, 5)),
  ],
  ['a frame of unknown type', /unknown frame type 99/, (plane) => plane.send({ type: 99 as never })],
  [
    'a payload beyond the limit',
    /announces 1048576 bytes/,
    (plane) => {
      const frame = encodeFrame({ type: FrameType.PAGES });
      frame.writeUInt32LE(1 << 20, 20);
      plane.sendRaw(frame);
    },
  ],
  [
    'pages outside of the map',
    /not in the map/,
    (plane) => {
      const payload = Buffer.alloc(PAGE_BYTES);
      const header = { flags: PageFlag.DEMAND, value: frameDigest(payload) };
      plane.sendRaw(encodePages(header, [{ task: 1000, vaddr: 4096n, pageCount: 1 }], payload));
    },
  ],
  ...(
    [
      ['more pages than there are', [2]],
      ['fewer pages than there are', [1]],
      ['no page', [1, 0, 1]],
      ['pages beyond all numbers', [1, 2 ** 32 - 1]],
    ] as const
  ).map(([what, pageCounts]): (typeof misdeeds)[number] => [
    `a table that names ${what}`,
    /page session: \d+ pages(, and \d+ bytes that do not name as many| at 0x\w+ of task 1000 are not in the map)/,
    (plane, vaddr) => {
      const payload = Buffer.alloc((what.startsWith('fewer') ? 3 : 1) * PAGE_BYTES);
      const ranges = pageCounts.map((pageCount) => ({ task: 1000, vaddr, pageCount }));
      plane.sendRaw(encodePages({ flags: PageFlag.PUSH, value: frameDigest(payload) }, ranges, payload));
    },
  ]),
  [
    'a table that is cut',
    /1 pages, and 24 bytes that do not name as many/,
    (plane, vaddr) => {
      const ranges = encodeRanges([{ task: 1000, vaddr, pageCount: 1 }]);
      const payload = Buffer.concat([ranges, Buffer.alloc(8 + PAGE_BYTES)]);
      plane.send({ type: FrameType.PAGES, flags: PageFlag.FILL, pageCount: 1 }, payload);
    },
  ],
  [
    'ABORT',
    /aborted by the plane: because/,
    (plane) => plane.send({ type: FrameType.ABORT }, Buffer.from('because')),
  ],
];
for (const [name, message, misdeed] of misdeeds) {
  sessionTest(`${name} ends the container, and no page reads as zero`, async (world) => {
    const { plane, pager } = world;
    plane.sendMap();
    const restored = await world.restore();
    await plane.received(FrameType.RESTORED);
    plane.onFault = (vaddr) => misdeed(plane, vaddr);
    assert.match(await restored.ask('walk'), /no answer/, 'ended by SIGBUS');
    const { exitCode, stderr } = await pager.ended;
    assert.is(exitCode, 1);
    assert.match(stderr, message);
    assert.is(stderr.split('\n').length, 1, stderr);
    const error = await plane.received(FrameType.ERROR);
    assert.match(error.payload.toString(), message);
  });
}

const cgroup = criuMissing === '' ? makeCgroup() : undefined;
test.after(() => cgroup?.remove());
if (cgroup === undefined) console.log('skipped: a named container cgroup is killed: no cgroup v2 here');
else
  sessionTest(
    'where a container cgroup is named, all in it are killed before the pager ends',
    async ({ plane, pager }) => {
      plane.sendMap();
      await pager.ready;
      const restored = await restoreHeap(checkpoint.directory, { cgroup: cgroup.path });
      await plane.received(FrameType.RESTORED);
      plane.onFault = () => plane.send({ type: FrameType.ABORT }, Buffer.from('enough'));
      assert.match(await restored.ask('walk'), /no answer/);
      assert.is((await pager.ended).exitCode, 1);
      assert.match(readFileSync(join(cgroup.path, 'cgroup.events'), 'utf8'), 'populated 0');
      await restored.end();
    },
    '--container-cgroup',
    cgroup.path,
  );

sessionTest(
  'a plane that is gone for longer than the deadline ends the container',
  async (world) => {
    const { plane, pager } = world;
    plane.sendMap();
    const restored = await world.restore();
    await plane.received(FrameType.RESTORED);
    await plane.close();
    const { exitCode, stderr } = await pager.ended;
    assert.is(exitCode, 1);
    assert.match(stderr, /connect to the plane/);
    assert.match(await restored.ask('walk'), /no answer/);
  },
  '--deadline-ms',
  '8000',
);

sessionTest(
  'a fault that nobody answers ends the container by the deadline',
  async (world) => {
    const { plane, pager } = world;
    plane.sendMap();
    const restored = await world.restore();
    await plane.received(FrameType.RESTORED);
    plane.onFault = () => {};
    assert.match(await restored.ask('walk'), /no answer/);
    assert.match((await pager.ended).stderr, /asked for and none came within 8000 ms/);
  },
  '--deadline-ms',
  '8000',
);

sessionTest(
  'a CRIU that never connects is waited for until the deadline',
  async ({ plane, pager }) => {
    plane.sendMap();
    await pager.ready;
    const { exitCode, stderr } = await pager.ended;
    assert.is(exitCode, 1);
    assert.match(stderr, /CRIU did not connect within 300 ms/);
  },
  '--deadline-ms',
  '300',
);

test.run();
