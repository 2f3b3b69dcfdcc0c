import { duplexPair } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createDumpInbox } from '../../../offload-plane/checkpoints/dump-inbox.ts';
import { DEADLINE_MS, silentLogger } from '../../helpers/plane-parts.ts';
import { rejection } from '../../helpers/rejection.ts';

const TOKEN = 'ab'.repeat(32);

/** Dials in as a guest does; gives the guest's end. */
function dial(inbox: ReturnType<typeof createDumpInbox>, guest: string, token = TOKEN, bytes = '') {
  const [near, far] = duplexPair();
  near.on('error', () => {});
  near.resume();
  near.write(Buffer.from(token, 'hex'));
  if (bytes) near.end(bytes);
  return { near, far, accepted: inbox.accept(far, guest, DEADLINE_MS) };
}

test('a stream with the token of its guest is handed over with what follows the token', async () => {
  const inbox = createDumpInbox(silentLogger);
  const arrival = inbox.expect(TOKEN, 'guest-a');
  dial(inbox, 'guest-a', TOKEN, 'pages');
  assert.is((await buffer(await arrival.stream)).toString(), 'pages');
});

test('an unknown token, a used-up one and one that is not wanted any more close the connection', async () => {
  const inbox = createDumpInbox(silentLogger);
  const unknown = dial(inbox, 'guest-a', 'cd'.repeat(32));
  await unknown.accepted;
  assert.ok(unknown.far.destroyed);

  const arrival = inbox.expect(TOKEN, 'guest-a');
  const first = dial(inbox, 'guest-a');
  await arrival.stream;
  const second = dial(inbox, 'guest-a');
  await second.accepted;
  assert.ok(second.far.destroyed);
  assert.not(first.far.destroyed);
  first.far.destroy();

  const unwanted = inbox.expect(TOKEN, 'guest-a');
  unwanted.drop();
  const late = dial(inbox, 'guest-a');
  await late.accepted;
  assert.ok(late.far.destroyed);
  assert.is((await rejection(unwanted.stream)).code, 'invalid_state');
});

test('a token of another guest is refused, and its owner can still use it', async () => {
  const inbox = createDumpInbox(silentLogger);
  const arrival = inbox.expect(TOKEN, 'guest-a');
  const foreign = dial(inbox, 'guest-b');
  await foreign.accepted;
  assert.ok(foreign.far.destroyed);
  dial(inbox, 'guest-a', TOKEN, 'mine');
  assert.is((await buffer(await arrival.stream)).toString(), 'mine');
});

test('a connection that ends before its token is let go', async () => {
  const inbox = createDumpInbox(silentLogger);
  const arrival = inbox.expect(TOKEN, 'guest-a');
  const short = dial(inbox, 'guest-a', 'abcd', '!');
  await short.accepted;
  assert.ok(short.far.destroyed);
  arrival.drop();
});

test.run();
