import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { duplexPair } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DumpFrame, encodeDumpFrame } from '../../interconnect/dump-frames.ts';
import { acceptDump, relayDump } from '../../interconnect/dump-stream.ts';
import type { OffloadError } from '../../platform/errors.ts';
import { rejection } from '../helpers/rejection.ts';
import { socketPair } from '../helpers/socket-pair.ts';

const PATIENT_MS = 120_000;
const token = randomBytes(32);

/** criu <-> relay <-> wire <-> plane, with a look at what passes the wire. */
function wires() {
  const [criu, agentSide] = duplexPair();
  const [agentWire, planeWire] = duplexPair();
  for (const stream of [criu, agentSide, agentWire, planeWire]) stream.on('error', () => {});
  return { criu, agentSide, agentWire, planeWire };
}

test('bytes and answers pass in both directions, and both halves end', async () => {
  const { criu, agentSide, agentWire, planeWire } = wires();
  const relayed = relayDump(agentSide, agentWire, { token, idleDeadlineMs: PATIENT_MS });
  const accepted = await acceptDump(planeWire);
  assert.ok(accepted.token.equals(token));
  const payload = randomBytes(3_000_000);
  const received: Buffer[] = [];
  accepted.stream.on('data', (chunk: Buffer) => {
    received.push(chunk);
    if (received.reduce((sum, part) => sum + part.length, 0) === payload.length)
      accepted.stream.write('okay');
  });
  criu.write(payload);
  const [answer] = await once(criu, 'data');
  assert.is(String(answer), 'okay');
  criu.end();
  assert.is((await relayed).bytes, payload.length);
  assert.ok(Buffer.concat(received).equals(payload));
});

test('a slow consumer never lets more than the window go unacknowledged', async () => {
  const { criu, agentSide, agentWire, planeWire } = wires();
  const windowBytes = 40_000;
  let sentBytes = 0;
  let acknowledgedBytes = 0;
  let worstBytes = 0;
  const write = agentWire.write.bind(agentWire) as (chunk: Buffer) => boolean;
  agentWire.write = ((chunk: Buffer) => {
    sentBytes += chunk.length;
    worstBytes = Math.max(worstBytes, sentBytes - token.length - acknowledgedBytes);
    return write(chunk);
  }) as typeof agentWire.write;
  const planeWrite = planeWire.write.bind(planeWire) as (chunk: Buffer) => boolean;
  planeWire.write = ((chunk: Buffer) => {
    if (chunk.readUInt32LE(0) === DumpFrame.ACK) acknowledgedBytes += chunk.readUInt32LE(4);
    return planeWrite(chunk);
  }) as typeof planeWire.write;
  const relayed = relayDump(agentSide, agentWire, { token, windowBytes, idleDeadlineMs: PATIENT_MS });
  const { stream } = await acceptDump(planeWire);
  criu.end(randomBytes(1_000_000));
  let consumedBytes = 0;
  for await (const chunk of stream) {
    consumedBytes += (chunk as Buffer).length;
    await delay(1);
  }
  stream.end();
  assert.is((await relayed).bytes, 1_000_000);
  assert.is(consumedBytes, 1_000_000);
  assert.ok(worstBytes <= windowBytes && worstBytes > 0, `${worstBytes} bytes unacknowledged`);
});

test('a consumer that takes nothing holds the guest back, and the deadline ends both halves', async () => {
  const { criu, agentSide, agentWire, planeWire } = wires();
  const relayed = relayDump(agentSide, agentWire, { token, idleDeadlineMs: 60 });
  const { stream } = await acceptDump(planeWire, { idleDeadlineMs: 60 });
  const failed = once(stream, 'error').catch((error) => error);
  criu.write(randomBytes(1_000_000));
  const error = await rejection(relayed);
  assert.is(error.code, 'deadline_exceeded');
  await failed;
  assert.ok(agentSide.destroyed && agentWire.destroyed);
});

test('a guest that ignores the window is cut off', async () => {
  const { agentWire, planeWire } = wires();
  agentWire.write(token);
  const { stream } = await acceptDump(planeWire, { maxWindowBytes: 10_000 });
  const failed = once(stream, 'error');
  agentWire.write(Buffer.alloc(20_000));
  await failed.catch((error) => assert.match(error.message, /limit 10000 bytes/));
  assert.ok(stream.destroyed && planeWire.destroyed);
});

test('no token in time, or half a token, is refused', async () => {
  const first = wires();
  const late = await rejection(acceptDump(first.planeWire, { tokenDeadlineMs: 20 }));
  assert.is(late.code, 'deadline_exceeded');
  assert.ok(first.planeWire.destroyed);
  const second = wires();
  second.agentWire.end(Buffer.alloc(10));
  assert.is((await rejection(acceptDump(second.planeWire))).code, 'guest_lost');
});

async function answersWith(bytes: Buffer): Promise<OffloadError> {
  const { criu, agentSide, agentWire, planeWire } = wires();
  const relayed = relayDump(agentSide, agentWire, { token, idleDeadlineMs: PATIENT_MS });
  criu.write('some bytes');
  planeWire.write(bytes);
  return await rejection(relayed);
}

test('an answer that breaks the framing ends the relay', async () => {
  assert.match((await answersWith(encodeDumpFrame(9, 0))).message, /kind 9/);
  assert.match((await answersWith(encodeDumpFrame(DumpFrame.DATA, 1 << 30))).message, /limit 65536 bytes/);
  assert.match((await answersWith(encodeDumpFrame(DumpFrame.ACK, 5000))).message, /5000 bytes acknowledged/);
});

test('either side going away ends the relay', async () => {
  for (const victim of ['agentSide', 'planeWire'] as const) {
    const [[criu, agentSide], [agentWire, planeWire]] = [await socketPair(), await socketPair()];
    for (const stream of [criu, agentSide, agentWire, planeWire]) stream.on('error', () => {});
    const relayed = relayDump(agentSide, agentWire, { token, idleDeadlineMs: PATIENT_MS });
    criu.write('unacknowledged');
    await once(planeWire, 'readable');
    const over = rejection(relayed);
    // CRIU's connection as it is when CRIU is killed: an end would say that it is done.
    ({ agentSide, planeWire })[victim].destroy();
    assert.match((await over).message, /(CRIU|the plane) went away/);
  }
});

test('whatever the chunks, what arrives is what was sent', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.uint8Array({ minLength: 1, maxLength: 5000 }), { maxLength: 20 }),
      fc.integer({ min: 1, max: 4000 }),
      async (chunks, windowBytes) => {
        const { criu, agentSide, agentWire, planeWire } = wires();
        const relayed = relayDump(agentSide, agentWire, { token, windowBytes, idleDeadlineMs: PATIENT_MS });
        const { stream } = await acceptDump(planeWire);
        for (const chunk of chunks) criu.write(Buffer.from(chunk));
        criu.end();
        const received: Buffer[] = [];
        for await (const chunk of stream) received.push(chunk as Buffer);
        stream.end();
        await relayed;
        assert.ok(Buffer.concat(received).equals(Buffer.concat(chunks.map((chunk) => Buffer.from(chunk)))));
      },
    ),
    { numRuns: 50 },
  );
});

test.run();
