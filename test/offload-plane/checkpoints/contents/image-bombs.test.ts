/** Images of a few megabytes that say so much, or the same so often, that telling it would take minutes or all memory. */
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import * as assert from 'uvu/assert';
import { readContents } from '../../../../offload-plane/checkpoints/contents/contents.ts';
import type { CheckpointContents } from '../../../../offload-plane/checkpoints/contents/contract.ts';
import type { CheckpointReader, Segment } from '../../../../offload-plane/page-store/contract.ts';
import { startCpuTime } from '../../../helpers/cpu-time.ts';
import {
  ANONYMOUS,
  goldenImages,
  PAGE,
  withImages,
  writeCriuCheckpoint,
} from '../../../helpers/criu-checkpoint.ts';
import { rejection } from '../../../helpers/rejection.ts';
import { suite } from '../../../helpers/suite.ts';
import { makeStore } from '../../page-store/fixture.ts';

const { Varint, LengthDelimited } = WireType;
const EVENTPOLL = 9;
const UNIX = 16;
const UNIX_NAME = 11;
const REGULAR = 3;
const MAX_CPU_MS = 2_000;

type Fill = (writer: BinaryWriter) => void;

const encoded = (fill: Fill): Uint8Array => {
  const writer = new BinaryWriter();
  fill(writer);
  return writer.finish();
};
const within = (number: number, fill: Fill): Fill => {
  const bytes = encoded(fill);
  return (writer) => writer.tag(number, LengthDelimited).bytes(bytes);
};
const number = (field: number, value: number): Fill => {
  return (writer) => writer.tag(field, Varint).uint32(value);
};
const all =
  (...fills: Fill[]): Fill =>
  (writer) => {
    for (const fill of fills) fill(writer);
  };

/** The golden image with messages put behind its own. */
function longer(name: string, messages: readonly Uint8Array[]): Buffer {
  const parts = messages.flatMap((message) => {
    const length = Buffer.alloc(4);
    length.writeUInt32LE(message.length);
    return [length, message];
  });
  return Buffer.concat([goldenImages().get(name)!, ...parts]);
}

const NAME = goldenImages();
const FDINFO = [...NAME.keys()].find((name) => name.startsWith('fdinfo-'))!;
const FILE_ID = 77_777;
const file = (kind: number, fill: Fill) => encoded(all(number(2, FILE_ID), within(kind, fill)));
const descriptors = (count: number) =>
  Array.from({ length: count }, (_, i) =>
    encoded(all(number(1, FILE_ID), number(3, 1), number(4, 1_000 + i))),
  );
const repeated = (bytes: number[], count: number): Fill => {
  const piece = Buffer.from(bytes);
  return (writer) => writer.raw(Buffer.alloc(piece.length * count, piece));
};

const BOMBS: Record<string, Record<string, Buffer>> = {
  'descriptors that all name one epoll with very many watches': {
    'files.img': longer('files.img', [file(EVENTPOLL, repeated([4 * 8 + LengthDelimited, 0], 100_000))]),
    [FDINFO]: longer(FDINFO, descriptors(5_000)),
  },
  'descriptors that all name one socket of a very long name': {
    'files.img': longer('files.img', [
      file(UNIX, (writer) => writer.tag(UNIX_NAME, LengthDelimited).bytes(Buffer.alloc(4_000_000, 'n'))),
    ]),
    [FDINFO]: longer(FDINFO, descriptors(5_000)),
  },
  'a message given again and again within another': {
    'files.img': longer('files.img', [encoded(repeated([REGULAR * 8 + LengthDelimited, 0], 4_000_000))]),
  },
  'a million messages of no bytes': {
    'files.img': longer('files.img', Array(1_000_000).fill(new Uint8Array())),
  },
};

const test = suite<{ remove: () => Promise<void>; read: Read }>('image bombs');
type Read = (changed: Record<string, Buffer>, own?: Partial<CheckpointReader>) => Promise<CheckpointContents>;

test.before(async (context) => {
  const { store, remove } = await makeStore();
  await writeCriuCheckpoint(store, 'redis');
  const reader = await store.open('redis');
  context.read = async (changed, own) =>
    readContents(withImages(reader, new Map([...goldenImages(), ...Object.entries(changed)]), own));
  context.remove = async () => {
    await reader.close();
    await remove();
  };
});
test.after(async ({ remove }) => await remove());

for (const [what, images] of Object.entries(BOMBS)) {
  test(`${what}: refused by a limit`, async ({ read }) => {
    const error = await rejection(read(images));
    assert.is(error.code, 'invalid_checkpoint');
    assert.match(error.message, /more than \d+ /);
  });
}

test('an image that very many processes name is not read as often', async ({ read }) => {
  let readBytes = 0;
  const pids = Array.from({ length: 200 }, (_, i) => 100 + i);
  const images: Record<string, Buffer> = {
    'pstree.img': longer(
      'pstree.img',
      pids.map((pid) => encoded(all(number(1, pid), number(2, 1), number(5, pid)))),
    ),
    [FDINFO]: longer(FDINFO, [
      encoded((writer) => writer.tag(9, LengthDelimited).bytes(Buffer.alloc(2_000_000))),
    ]),
  };
  for (const pid of pids) {
    for (const kind of ['core', 'ids', 'mm']) images[`${kind}-${pid}.img`] = NAME.get(`${kind}-1.img`)!;
  }
  const there = new Map([...goldenImages(), ...Object.entries(images)]);
  const readImage = async (name: string) => {
    const image = there.get(name)!;
    readBytes += image.length;
    return image;
  };
  const error = await rejection(read(images, { readImage }));
  assert.match(error.message, /its images are more than \d+ bytes/);
  assert.ok(readBytes < 100_000_000, `${readBytes} bytes were read`);
});

test('arguments of zeros with one letter behind them are read in no time', async ({ read }) => {
  const bytes = Buffer.alloc(16 * PAGE);
  bytes[bytes.length - 1] = 0x78;
  // mm-1.img with its arguments in the anonymous mapping: the last of a field counts.
  const [first] = [NAME.get('mm-1.img')!];
  const where = (writer: BinaryWriter) =>
    writer
      .tag(8, Varint)
      .uint64(ANONYMOUS)
      .tag(9, Varint)
      .uint64(ANONYMOUS + BigInt(bytes.length));
  const message = Buffer.concat([first!.subarray(12), encoded(where)]);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(message.length);
  const cpuMs = startCpuTime();
  const contents = await read(
    { 'mm-1.img': Buffer.concat([first!.subarray(0, 8), length, message]) },
    { isZero: () => false, readPages: async () => bytes },
  );
  assert.is(contents.processes[0]!.command!.length, bytes.length);
  assert.ok(cpuMs() < MAX_CPU_MS, `it took ${cpuMs()} ms`);
});

test('many pieces of shared memory and many mappings are brought together in no time', async ({ read }) => {
  const SHARED = 1 << 8;
  const mapping = (i: number) =>
    within(14, (writer) =>
      writer
        .tag(1, Varint)
        .uint64(BigInt(i * 2 * PAGE))
        .tag(2, Varint)
        .uint64(BigInt((i * 2 + 1) * PAGE))
        .tag(4, Varint)
        .uint32(i)
        .tag(7, Varint)
        .uint32(SHARED),
    );
  const message = encoded(all(...Array.from({ length: 60_000 }, (_, i) => mapping(i + 1))));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(message.length);
  const mm = Buffer.concat([NAME.get('mm-1.img')!.subarray(0, 8), length, message]);
  const segment = (i: number) => ({ kind: 'shmem', id: i, vaddr: 0n, pageCount: 1, zero: false }) as const;
  const segments = Array.from({ length: 20_000 }, (_, i) => segment(i + 1)) as unknown as Segment[];
  const cpuMs = startCpuTime();
  const contents = await read({ 'mm-1.img': mm }, { segments: () => segments });
  assert.ok(cpuMs() < MAX_CPU_MS, `it took ${cpuMs()} ms`);
  assert.is(contents.sharedMemory.length, segments.length);
  assert.equal(contents.sharedMemory[0]!.pids, [1]);
});

test.run();
