import { Duplex, duplexPair } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { boundWrites } from '../../guest-agent/bounded-writes.ts';
import { until } from '../helpers/until.ts';

const LIMIT = 28 * 1024;

/** A socket that keeps each write and tells when it is done only as the test says. */
class SlowSocket extends Duplex {
  readonly writes: Buffer[] = [];
  readonly joined: number[] = [];
  ended = false;
  waiting: (() => void) | undefined;
  pushes = 0;

  constructor() {
    super({ allowHalfOpen: true, highWaterMark: 1024 });
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.joined.push(this.writableLength);
    this.writes.push(chunk);
    this.waiting = done;
  }

  override _final(done: () => void): void {
    this.ended = true;
    done();
  }

  letGo(): void {
    const done = this.waiting;
    this.waiting = undefined;
    done?.();
  }
}

const numbered = (byteCount: number) => Buffer.from(Array.from({ length: byteCount }, (_, i) => i % 251));

test('a long write reaches the socket in order, in pieces of at most 28 KiB, one at a time', async () => {
  const socket = new SlowSocket();
  const stream = boundWrites(socket);
  const bytes = numbered(3 * LIMIT + 5);
  let written = false;
  stream.write(bytes, () => {
    written = true;
  });
  for (let pieces = 1; pieces <= 4; pieces += 1) {
    await until(`piece ${pieces}`, () => socket.writes.length === pieces && socket.waiting);
    assert.not(written, 'not before the last piece');
    socket.letGo();
  }
  await until('the write is done', () => written);
  assert.equal(
    socket.writes.map((piece) => piece.length),
    [LIMIT, LIMIT, LIMIT, 5],
  );
  assert.ok(
    socket.joined.every((length) => length <= LIMIT),
    'nothing queues behind a piece, so nothing can be joined to it',
  );
  assert.ok(Buffer.concat(socket.writes).equals(bytes));
});

test('writes that wait are joined, up to 28 KiB', async () => {
  const socket = new SlowSocket();
  const stream = boundWrites(socket);
  stream.write('first');
  for (const word of ['two', '', 'three']) stream.write(word);
  stream.write(numbered(LIMIT));
  const packets = ['first'.length, LIMIT, 'twothree'.length];
  for (let count = 1; count <= packets.length; count += 1) {
    await until(`packet ${count}`, () => socket.writes.length === count && socket.waiting);
    socket.letGo();
  }
  assert.equal(
    socket.writes.map(({ length }) => length),
    packets,
  );
  assert.ok(
    socket.joined.every((length) => length <= LIMIT),
    'nothing queues behind a packet',
  );
  const bytes = Buffer.concat(socket.writes);
  assert.is(String(bytes.subarray(0, 'firsttwothree'.length)), 'firsttwothree');
  assert.ok(bytes.subarray('firsttwothree'.length).equals(numbered(LIMIT)));
});

test('a socket that does not take more holds the writer back', async () => {
  const socket = new SlowSocket();
  const stream = boundWrites(socket);
  let chunks = 0;
  while (chunks < 100 && stream.write(Buffer.alloc(LIMIT))) chunks += 1;
  assert.ok(chunks < 100, 'write() says no');
  await until('the first piece', () => socket.waiting);
  assert.is(socket.writes.length, 1);
});

test('a reader that does not read pauses the socket', async () => {
  const [near, far] = duplexPair();
  const stream = boundWrites(near);
  let accepted = 0;
  while (accepted < 100 && far.write(Buffer.alloc(16 * 1024))) accepted += 1;
  assert.ok(accepted < 100, 'the far end was told to wait');
  stream.resume();
  await new Promise((resolve) => far.once('drain', resolve));
});

test('the end of either direction leaves the other open', async () => {
  const [near, far] = duplexPair();
  const stream = boundWrites(near);
  far.end('question');
  assert.is(String(await buffer(stream)), 'question');
  stream.end('answer');
  assert.is(String(await buffer(far)), 'answer');

  const [near2, far2] = duplexPair();
  const stream2 = boundWrites(near2);
  stream2.end('question');
  assert.is(String(await buffer(far2)), 'question');
  far2.end('answer');
  assert.is(String(await buffer(stream2)), 'answer');
});

test('what has come is read to its end though the socket has closed by then', async () => {
  const [near, far] = duplexPair();
  const stream = boundWrites(near);
  const closed = new Promise((resolve) => near.once('close', resolve));
  stream.end();
  far.resume();
  far.end('the last words');
  await closed;
  assert.is(String(await buffer(stream)), 'the last words');
});

test('a socket that breaks breaks the stream, and a destroyed stream closes the socket', async () => {
  const socket = new SlowSocket();
  const stream = boundWrites(socket);
  const failed = new Promise<Error>((resolve) => stream.once('error', resolve));
  socket.destroy(new Error('reset'));
  assert.is((await failed).message, 'reset');

  const other = new SlowSocket();
  boundWrites(other).destroy();
  assert.ok(other.destroyed);

  const third = new SlowSocket();
  const lost = boundWrites(third);
  const closed = new Promise((resolve) => lost.once('close', resolve));
  third.destroy();
  await closed;
});

test.run();
