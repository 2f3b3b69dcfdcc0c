import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  decodeMessage,
  message,
  messageList,
  text,
  uint32,
  uint32List,
  uint64,
} from '../../../offload-plane/criu-images/wire.ts';

const SHAPE = {
  pid: uint32(1),
  name: text(2),
  threads: uint32List(3),
  inner: message(4, { at: uint64(1) }),
  list: messageList(5, { at: uint64(1) }),
};

const nested = (at: bigint) => new BinaryWriter().tag(1, WireType.Varint).uint64(at).finish();

test('fields are read by number; those that nobody asked for are skipped', () => {
  const bytes = new BinaryWriter()
    .tag(9, WireType.LengthDelimited)
    .string('unknown')
    .tag(1, WireType.Varint)
    .uint32(7)
    .tag(2, WireType.LengthDelimited)
    .string('redis')
    .tag(4, WireType.LengthDelimited)
    .bytes(nested(2n ** 63n))
    .tag(5, WireType.LengthDelimited)
    .bytes(nested(1n))
    .tag(5, WireType.LengthDelimited)
    .bytes(nested(2n))
    .finish();
  assert.equal(decodeMessage(SHAPE, bytes), {
    pid: 7,
    name: 'redis',
    threads: [],
    inner: { at: 2n ** 63n },
    list: [{ at: 1n }, { at: 2n }],
  });
});

test('a list of numbers is read one by one and packed', () => {
  const packed = new BinaryWriter().uint32(3).uint32(400).finish();
  const bytes = new BinaryWriter()
    .tag(3, WireType.Varint)
    .uint32(1)
    .tag(3, WireType.LengthDelimited)
    .bytes(packed)
    .finish();
  assert.equal(decodeMessage(SHAPE, bytes).threads, [1, 3, 400]);
});

test('what is absent is empty', () => {
  assert.equal(decodeMessage(SHAPE, new Uint8Array()), {
    pid: 0,
    name: '',
    threads: [],
    inner: undefined,
    list: [],
  });
});

test('another wire type, a length past the end and a number without an end are refused', () => {
  const wrong = new BinaryWriter().tag(2, WireType.Varint).uint32(7).finish();
  assert.throws(() => decodeMessage(SHAPE, wrong), /wire type 0, not 2/);
  assert.throws(() => decodeMessage(SHAPE, Buffer.from([0x12, 0x7f, 0x61])));
  assert.throws(() => decodeMessage(SHAPE, Buffer.from([0x08, ...Array(11).fill(0xff)])));
});

test.run();
