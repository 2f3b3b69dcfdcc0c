import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  CHANNEL,
  describeEnd,
  message,
  PROTOCOL,
  parse,
  protocols,
  resize,
} from '../../../../offload-plane/dashboard/page/channels.ts';
import { TOKEN_PROTOCOL_PREFIX } from '../../../../offload-plane/http-api/access.ts';

const bytesOf = (text: string) => new TextEncoder().encode(text);

test('a message is its channel and its bytes, and is read back', () => {
  const sent = message(CHANNEL.stdin, bytesOf('ls\n'));
  assert.equal([...sent], [0, 108, 115, 10]);
  const { channel, payload } = parse(sent.buffer);
  assert.equal([channel, new TextDecoder().decode(payload)], [CHANNEL.stdin, 'ls\n']);
  assert.equal(parse(new ArrayBuffer(0)), { channel: -1, payload: new Uint8Array() });
});

test('a size is told in columns and rows', () => {
  const { channel, payload } = parse(resize(80, 24).buffer);
  assert.is(channel, CHANNEL.resize);
  assert.equal(JSON.parse(new TextDecoder().decode(payload)), { Width: 80, Height: 24 });
});

test('the token goes as a protocol of which the plane reads it, whatever is in it', () => {
  assert.equal(protocols(null), [PROTOCOL]);
  const token = 'a+b/c=ü';
  const [protocol, carrier] = protocols(token);
  assert.is(protocol, PROTOCOL);
  assert.ok(carrier!.startsWith(TOKEN_PROTOCOL_PREFIX));
  assert.match(carrier!, /^[A-Za-z0-9_.-]+$/);
  assert.is(Buffer.from(carrier!.slice(TOKEN_PROTOCOL_PREFIX.length), 'base64url').toString(), token);
});

test('each way to end is told in words', () => {
  assert.equal(
    ['{"exitCode":3}', '{"detached":true}', '{"error":"no such program"}', '{}'].map((text) =>
      describeEnd(bytesOf(text)),
    ),
    ['ended with exit code 3', 'detached; it runs on', 'no such program', 'ended'],
  );
});

test.run();
