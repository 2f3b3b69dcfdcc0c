import { once } from 'node:events';
import { type Duplex, duplexPair } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { joinStreams } from '../../platform/join-streams.ts';

/** The outer ends of two streams whose inner ends are joined. */
function joined(): { left: Duplex; right: Duplex; inner: [Duplex, Duplex] } {
  const [left, innerLeft] = duplexPair();
  const [right, innerRight] = duplexPair();
  joinStreams(innerLeft, innerRight);
  return { left, right, inner: [innerLeft, innerRight] };
}

function closing(stream: Duplex): Promise<unknown> {
  stream.on('error', () => {});
  return new Promise((resolve) => stream.once('close', resolve));
}

test('bytes pass both ways at once', async () => {
  const { left, right } = joined();
  left.end('from the left');
  right.end('from the right');
  const [atLeft, atRight] = await Promise.all([buffer(left), buffer(right)]);
  assert.is(String(atLeft), 'from the right');
  assert.is(String(atRight), 'from the left');
});

test('the end of one direction leaves the other open', async () => {
  const { left, right } = joined();
  left.end('question');
  assert.is(String(await buffer(right)), 'question');
  right.end('a late answer');
  assert.is(String(await buffer(left)), 'a late answer');
});

test('a reader that does not read holds the writer back', async () => {
  const { left, right } = joined();
  const chunk = Buffer.alloc(64 * 1024);
  let written = 0;
  while (written < 64 && left.write(chunk)) written += 1;
  assert.ok(written < 64, 'the writer was told to wait');
  right.resume();
  await once(left, 'drain');
});

test('an error on one side ends the other', async () => {
  const { inner, right } = joined();
  right.resume();
  const closed = closing(inner[1]);
  inner[0].on('error', () => {});
  inner[0].destroy(new Error('reset'));
  await closed;
  assert.ok(inner[1].destroyed);
});

test('a side that goes away without an end takes the other with it', async () => {
  const { inner } = joined();
  const closed = closing(inner[1]);
  inner[0].destroy();
  await closed;
});

test.run();
