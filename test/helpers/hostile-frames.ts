/** HTTP/2 frames as a server that means harm sends them (RFC 9113), each attack a stream of buffers. */
const FrameType = {
  data: 0,
  headers: 1,
  rstStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;
const END_STREAM = 1;
const END_HEADERS = 4;
/** HPACK's static table: `:status: 200`. */
const STATUS_200 = Buffer.from([0x88]);
/** Of frames that are repeated, so many bytes at a time. */
const BATCH_BYTES = 64 * 1024;
const MAX_FRAME_BYTES = 16_384;
/** The client's first request. */
const FIRST_STREAM = 1;

type Attack = () => Generator<Buffer>;

function frame(type: number, flags: number, stream: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  const header = Buffer.alloc(9);
  header.writeUIntBE(payload.length, 0, 3);
  header.writeUInt8(type, 3);
  header.writeUInt8(flags, 4);
  header.writeUInt32BE(stream, 5);
  return Buffer.concat([header, payload]);
}

export const SETTINGS = frame(FrameType.settings, 0, 0);

const u32 = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};
const batchOf = (one: Buffer) => Buffer.concat(Array(Math.ceil(BATCH_BYTES / one.length)).fill(one));

/** A literal header field without indexing; name and value have at most 126 bytes. */
const field = (name: string, value: string) =>
  Buffer.concat([
    Buffer.from([0, name.length]),
    Buffer.from(name),
    Buffer.from([value.length]),
    Buffer.from(value),
  ]);

function* forever(one: Buffer, first: Buffer[] = []): Generator<Buffer> {
  yield* first;
  const batch = batchOf(one);
  while (true) yield batch;
}

function* pushes(): Generator<Buffer> {
  for (let promised = 2; ; promised += 2) {
    const payload = Buffer.concat([
      u32(promised),
      Buffer.from([0x82, 0x84, 0x86]),
      field(':authority', 'agent'),
    ]);
    yield frame(FrameType.pushPromise, END_HEADERS, FIRST_STREAM, payload);
    yield frame(FrameType.headers, END_HEADERS, promised, STATUS_200);
  }
}

/** xorshift32: the same bytes in every run. */
function* garbage(): Generator<Buffer> {
  let state = 0x9e3779b9;
  while (true) {
    const bytes = Buffer.alloc(BATCH_BYTES);
    for (let i = 0; i < bytes.length; i += 4) {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      bytes.writeInt32LE(state, i);
    }
    yield bytes;
  }
}

const answerHead = frame(FrameType.headers, END_HEADERS, FIRST_STREAM, STATUS_200);
const longField = field('x'.repeat(60), 'y'.repeat(120));
const fields = (count: number) => Buffer.concat(Array(count).fill(longField));
const fullOfFields = fields(Math.floor(MAX_FRAME_BYTES / longField.length));

export const FRAME_ATTACKS: Record<string, Attack> = {
  'bytes that are no frames': garbage,
  'a flood of SETTINGS': () => forever(frame(FrameType.settings, 0, 0, Buffer.from([0, 3, 0, 0, 0, 100]))),
  'a flood of PING': () => forever(frame(FrameType.ping, 0, 0, Buffer.alloc(8))),
  'a flood of WINDOW_UPDATE': () => forever(frame(FrameType.windowUpdate, 0, 0, u32(1))),
  'a window that overflows': () => forever(frame(FrameType.windowUpdate, 0, 0, u32(0x7fff_ffff))),
  'a flood of RST_STREAM': () => forever(frame(FrameType.rstStream, 0, FIRST_STREAM, u32(0))),
  'RST_STREAM for streams that nobody opened': () => forever(frame(FrameType.rstStream, 0, 1_001, u32(8))),
  'a flood of pushed streams': pushes,
  'headers without an end': () =>
    forever(frame(FrameType.continuation, 0, FIRST_STREAM, fullOfFields), [
      frame(FrameType.headers, 0, FIRST_STREAM, STATUS_200),
    ]),
  'empty CONTINUATION frames without an end': () =>
    forever(frame(FrameType.continuation, 0, FIRST_STREAM), [
      frame(FrameType.headers, 0, FIRST_STREAM, STATUS_200),
    ]),
  'an answer with more headers than anybody needs': () =>
    forever(SETTINGS, [
      frame(FrameType.headers, END_HEADERS, FIRST_STREAM, Buffer.concat([STATUS_200, fullOfFields])),
    ]),
  'informational answers without an end': () =>
    forever(frame(FrameType.headers, END_HEADERS, FIRST_STREAM, field(':status', '103'))),
  'empty DATA frames without an end': () => forever(frame(FrameType.data, 0, FIRST_STREAM), [answerHead]),
  'DATA beyond every window': () =>
    forever(frame(FrameType.data, 0, FIRST_STREAM, Buffer.alloc(MAX_FRAME_BYTES)), [answerHead]),
  'DATA after its own end': () =>
    forever(frame(FrameType.data, END_STREAM, FIRST_STREAM, Buffer.from('{}')), [answerHead]),
  'frames longer than agreed': () => forever(frame(FrameType.data, 0, FIRST_STREAM, Buffer.alloc(0xffffff))),
  'GOAWAY and then on': () => forever(frame(FrameType.goaway, 0, 0, Buffer.concat([u32(0), u32(0)]))),
};
