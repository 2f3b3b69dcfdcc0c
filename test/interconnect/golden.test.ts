import { readdirSync } from 'node:fs';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { goldenFrames } from '../../interconnect/golden/frames.ts';
import {
  decodeCounters,
  decodeHeader,
  decodeRanges,
  FrameType,
  HEADER_BYTES,
} from '../../interconnect/page-protocol.ts';
import { FrameReader } from '../../offload-plane/page-server/frame-reader.ts';
import { GOLDEN_DIRECTORY, golden } from '../helpers/golden.ts';

test('every frame is encoded as its golden file has it, and there is a file for each', () => {
  const frames = goldenFrames();
  for (const [name, bytes] of Object.entries(frames)) assert.ok(bytes.equals(golden(name)), name);
  const files = readdirSync(GOLDEN_DIRECTORY).filter((file) => file.endsWith('.bin'));
  assert.equal(
    files.sort(),
    Object.keys(frames)
      .map((name) => `${name}.bin`)
      .sort(),
  );
});

test('golden files read back as what they say', () => {
  const fault = decodeHeader(golden('fault'));
  assert.equal(fault, {
    type: FrameType.FAULT,
    flags: 0,
    task: 42,
    vaddr: 0x7f1234567000n,
    pageCount: 1,
    payloadBytes: 0,
    value: 123456n,
  });
  assert.is(decodeRanges(golden('map').subarray(HEADER_BYTES))[1]?.pageCount, 65);
  assert.is(decodeCounters(golden('done').subarray(HEADER_BYTES)).memoryDigest, 0xfedcba9876543210n);
});

test('frames of a pager arrive whole however they are cut', () => {
  const names = ['hello', 'credit', 'fault', 'restored', 'status', 'missing', 'missing-end', 'done', 'error'];
  const bytes = Buffer.concat(names.map(golden));
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: bytes.length - 1 })), (cuts) => {
      const sorted = [0, ...new Set(cuts), bytes.length].sort((a, b) => a - b);
      const reader = new FrameReader();
      const payloads: Buffer[] = [];
      for (const [i, end] of sorted.slice(1).entries()) {
        reader.push(bytes.subarray(sorted[i], end), (_header, payload) => payloads.push(payload));
      }
      assert.equal(
        payloads.map((p) => p.length),
        names.map((name) => golden(name).length - HEADER_BYTES),
      );
    }),
  );
});

test.run();
