import http2 from 'node:http2';
import { type Duplex, duplexPair, pipeline, Transform } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createApiServer } from '../../guest-agent/api/server.ts';
import { createAgentClient } from '../../offload-plane/guests/agent-client.ts';
import { createAgentWorld } from '../helpers/agent-world.ts';
import { until } from '../helpers/until.ts';

const TIMEOUT_MS = 1_000;
/** What is written after it has stalled goes nowhere, and nobody is told. */
interface Link {
  delayMs: number;
  isStalled: boolean;
}

function passing(link: Link): Transform {
  return new Transform({
    transform(chunk, _encoding, done) {
      if (link.isStalled) return;
      setTimeout(() => this.push(chunk), link.delayMs);
      done();
    },
  });
}

/** Two ends with a link between that can be slow, or half open. */
function linked(link: Link): { near: Duplex; far: Duplex } {
  const [near, nearInside] = duplexPair();
  const [far, farInside] = duplexPair();
  const forget = () => undefined;
  pipeline(nearInside, passing(link), farInside, forget);
  pipeline(farInside, passing(link), nearInside, forget);
  for (const end of [near, far, nearInside, farInside]) end.on('error', forget);
  return { near, far };
}

async function agentAndPlane(link: Link, timeoutMs = TIMEOUT_MS) {
  const { near, far } = linked(link);
  const { agent } = await createAgentWorld('peer-watch');
  const server = createApiServer(agent, { peerTimeoutMs: timeoutMs });
  server.accept(far);
  return { near, far };
}

test('an agent whose connection is half open is noticed by the plane within the deadline', async () => {
  const link = { delayMs: 0, isStalled: false };
  const { near } = await agentAndPlane(link);
  const client = createAgentClient('guest-a', near, TIMEOUT_MS);
  await client.call('listContainers', undefined, { timeoutMs: 10_000 });
  const stalledMs = performance.now();
  link.isStalled = true;
  await until('it is noticed', () => client.dead);
  const noticedMs = performance.now() - stalledMs;
  // What was heard last was heard up to half of it before.
  assert.ok(noticedMs >= TIMEOUT_MS / 4, `after ${noticedMs} ms`);
  await client.closed;
});

test('a plane whose connection is half open is noticed by the agent, which lets go of it', async () => {
  const link = { delayMs: 0, isStalled: false };
  const { near, far } = await agentAndPlane(link);
  const session = http2.connect('http://agent', { createConnection: () => near });
  session.on('error', () => undefined);
  const events = session.request({ ':path': '/v1/events' });
  events.on('error', () => undefined).resume();
  await until('events are followed', () => events.readableDidRead);
  await sleep(TIMEOUT_MS * 2);
  assert.not(far.destroyed, 'a caller that answers PINGs and asks nothing is kept');
  link.isStalled = true;
  await until('it is let go of', () => far.destroyed);
  session.destroy();
});

test('a link that is slow, but not slower than the deadline, breaks nothing', async () => {
  const slow = { timeoutMs: TIMEOUT_MS * 2, delayMs: TIMEOUT_MS * 0.4 };
  const { near, far } = await agentAndPlane({ delayMs: slow.delayMs, isStalled: false }, slow.timeoutMs);
  const client = createAgentClient('guest-a', near, slow.timeoutMs);
  try {
    const endMs = performance.now() + slow.timeoutMs * 2;
    while (performance.now() < endMs) {
      assert.equal(await client.call('listContainers', undefined, { timeoutMs: 10_000 }), []);
    }
    assert.not(client.dead);
    assert.not(far.destroyed);
  } finally {
    client.close();
  }
});

test.run();
