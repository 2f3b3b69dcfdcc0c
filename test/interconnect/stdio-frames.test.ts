import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  decodeEnd,
  encodeEnd,
  encodeFrame,
  FrameDecoder,
  type FrameType,
  MAX_PAYLOAD_BYTES,
  type StdioEnd,
} from '../../interconnect/stdio-frames.ts';

const frame = fc.record(
  {
    type: fc.integer({ min: 0, max: 3 }).map((type) => type as FrameType),
    payload: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  },
  { noNullPrototype: true },
);

/** The bytes in pieces of these lengths, again and again. */
function* pieces(bytes: Buffer, lengths: number[]): Generator<Buffer> {
  for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
    const length = lengths[turn % lengths.length] ?? 1;
    yield bytes.subarray(at, at + length);
    at += length;
  }
}

test('frames come out as they went in, however their bytes are cut', () => {
  fc.assert(
    fc.property(
      fc.array(frame, { maxLength: 20 }),
      fc.array(fc.integer({ min: 1, max: 97 }), { minLength: 1, maxLength: 10 }),
      (frames, lengths) => {
        const bytes = Buffer.concat(frames.map(({ type, payload }) => encodeFrame(type, payload)));
        const decoder = new FrameDecoder();
        const decoded = [...pieces(bytes, lengths)].flatMap((piece) => decoder.push(piece));
        assert.equal(decoded, frames);
        assert.not(decoder.isWithinFrame);
      },
    ),
  );
});

test("a frame's bytes are Docker's", () => {
  assert.equal(encodeFrame(1, 'hi'), Buffer.from([1, 0, 0, 0, 0, 0, 0, 2, 0x68, 0x69]));
});

test('arbitrary bytes are refused or decoded, and never held beyond one frame', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 64 }), { maxLength: 30 }), (chunks) => {
      const decoder = new FrameDecoder();
      try {
        for (const chunk of chunks) {
          for (const { payload } of decoder.push(Buffer.from(chunk)))
            assert.ok(payload.length <= MAX_PAYLOAD_BYTES);
        }
      } catch (error) {
        assert.is((error as { code?: string }).code, 'invalid_request');
      }
    }),
  );
});

test('a length beyond the bound is refused before its payload arrives', () => {
  const header = Buffer.from([1, 0, 0, 0, 0, 1, 0, 1]);
  assert.throws(() => new FrameDecoder().push(header), /at most 65536 bytes/);
});

test('an unknown type and bytes in the reserved place are refused', () => {
  assert.throws(() => new FrameDecoder().push(Buffer.from([4, 0, 0, 0, 0, 0, 0, 0])), /type 4/);
  assert.throws(() => new FrameDecoder().push(Buffer.from([1, 0, 1, 0, 0, 0, 0, 0])), /no frame/);
});

test('an end frame says an exit code, a detachment or an error, and nothing else', () => {
  const ends: StdioEnd[] = [{ exitCode: 137 }, { detached: true }, { error: 'no such program' }];
  for (const end of ends) {
    const [decoded] = new FrameDecoder().push(encodeEnd(end));
    assert.equal(decodeEnd(decoded!.payload), end);
  }
  assert.throws(() => decodeEnd(Buffer.from('{"exitCode":"0"}')), /nothing known/);
  assert.throws(() => decodeEnd(Buffer.from('nonsense')), /nothing known/);
});

test.run();
