/** Answers made up from the agent's own schemas: what fits comes through as it is, all else is an error. */
import http2 from 'node:http2';
import fc from 'fast-check';
import { Value } from 'typebox/value';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type AgentCall, AgentEvent, agentCalls } from '../../../interconnect/agent-api.ts';
import { createAgentClient } from '../../../offload-plane/guests/agent-client.ts';
import { followEvents } from '../../../offload-plane/guests/agent-events.ts';
import { withDeadline } from '../../../platform/deadline.ts';
import { OffloadError } from '../../../platform/errors.ts';
import { rejection } from '../../helpers/rejection.ts';
import { allowedBy, nearMissOf } from '../../helpers/schema-arbitrary.ts';
import { socketPair } from '../../helpers/socket-pair.ts';
import { until } from '../../helpers/until.ts';

const TIMEOUT_MS = 60_000;
const PARAMS = { id: 'web', exec: 'e', port: 1 };
const numRuns = Number(process.env.HOSTILE_ANSWER_RUNS ?? 40);

/** An agent whose next answer is what it is told. */
async function tellingAgent() {
  const next = { status: 200, body: '' };
  const server = http2.createServer();
  server.on('stream', (stream) => {
    stream.on('error', () => {}).resume();
    stream.respond({ ':status': next.status });
    stream.end(next.body);
  });
  const [near, far] = await socketPair();
  server.emit('connection', far);
  return { next, client: createAgentClient('telling', near, TIMEOUT_MS) };
}

const { next, client } = await tellingAgent();

async function outcomeOf(name: AgentCall): Promise<unknown> {
  return client.call(name, {} as never, { params: PARAMS, timeoutMs: TIMEOUT_MS }).catch((error: unknown) => {
    assert.instance(error, OffloadError);
    return error;
  });
}

for (const name of Object.keys(agentCalls) as AgentCall[]) {
  const { response } = agentCalls[name];
  test(`${name}: an answer within the schema comes through, a near miss is the guest's fault`, async () => {
    const allowed = allowedBy(response);
    const property = fc.asyncProperty(
      fc.oneof(allowed, nearMissOf(allowed), fc.jsonValue()),
      async (value) => {
        Object.assign(next, { status: 200, body: JSON.stringify(value) });
        const sent: unknown = JSON.parse(next.body);
        const outcome = await outcomeOf(name);
        if (Value.Check(response, sent)) assert.equal(outcome, sent);
        else assert.is((outcome as OffloadError).code, 'guest_lost');
      },
    );
    await fc.assert(property, { numRuns });
  });
}

test('an error of the agent is one of ours or the guest’s fault, and its message has an end', async () => {
  const body = fc.record(
    {
      code: fc.oneof(fc.constantFrom('not_found', 'no_space', 'toString', '__proto__'), fc.string()),
      message: fc.string({ maxLength: 4_000, size: 'max' }),
    },
    { requiredKeys: [] },
  );
  const property = fc.asyncProperty(
    fc.integer({ min: 201, max: 599 }),
    fc.oneof(body, fc.jsonValue()),
    async (status, value) => {
      Object.assign(next, {
        status: status === 204 || status === 205 || status === 304 ? 500 : status,
        body: JSON.stringify(value),
      });
      const outcome = await outcomeOf('health');
      assert.instance(outcome, OffloadError);
      assert.ok((outcome as OffloadError).message.length <= 1_100);
    },
  );
  await fc.assert(property, { numRuns: numRuns * 5 });
});

test('a refusal of a stream without an end is one within the deadline of the call', async () => {
  const server = http2.createServer();
  let isOpen = false;
  server.on('stream', (stream) => {
    isOpen = true;
    stream
      .on('error', () => {})
      .on('close', () => {
        isOpen = false;
      });
    stream.respond({ ':status': 500 });
    stream.write('{');
  });
  const [near, far] = await socketPair();
  server.emit('connection', far);
  const endless = createAgentClient('endless', near, TIMEOUT_MS);
  for (const method of ['GET', 'POST']) {
    const refused = endless.stream({ method, path: '/v1/events', timeoutMs: 200 });
    const error = await rejection(withDeadline(refused, TIMEOUT_MS / 2, 'the refusal'));
    assert.is(error.code, 'guest_lost', error.message);
    await until('the stream is closed', () => !isOpen);
  }
  endless.close();
});

test('an event outside the schema, or a line that is none, ends the connection and is seen by nobody', async () => {
  const event = allowedBy(AgentEvent);
  const property = fc.asyncProperty(
    fc.oneof(nearMissOf(event), fc.jsonValue(), fc.string()),
    async (value) => {
      const line = typeof value === 'string' ? value : JSON.stringify(value);
      const isEvent = (text: string) => {
        try {
          return Value.Check(AgentEvent, JSON.parse(text));
        } catch {
          return false;
        }
      };
      const lines = line.split('\n').filter((text) => text !== '');
      fc.pre(lines.length > 0 && !lines.some(isEvent));
      const telling = await tellingAgent();
      Object.assign(telling.next, { body: `${line}\n` });
      const seen: unknown[] = [];
      const stop = followEvents(telling.client, 0, {
        event: (what) => void seen.push(what),
        caughtUp() {},
      });
      await telling.client.closed;
      stop();
      assert.equal(seen, []);
    },
  );
  await fc.assert(property, { numRuns });
});

test.after(async () => {
  client.close();
  await client.closed;
});

test.run();
