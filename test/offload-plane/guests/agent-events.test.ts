import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { followEvents } from '../../../offload-plane/guests/agent-events.ts';
import { agentPeer } from '../../helpers/agent-peer.ts';

test('an event that is none, or a line without an end, loses the guest', async () => {
  for (const line of ['{"sequence": 1}\n', 'x'.repeat(5_000), '\nnonsense\n']) {
    const { client } = agentPeer((_request, response) => void response.write(line));
    followEvents(client, 0, { event: () => assert.unreachable(), caughtUp: () => {} });
    await client.closed;
  }
});

test('a reader of events that was cut off hangs up, so that it asks again from the last one it saw', async () => {
  const asked: string[] = [];
  const { client } = agentPeer((request, response) => {
    asked.push(request.url);
    response.end(`${JSON.stringify({ sequence: 8, atMs: 1, container: 'web', event: 'started' })}\n`);
  });
  const seen: number[] = [];
  followEvents(client, 7, { event: ({ sequence }) => void seen.push(sequence), caughtUp: () => {} });
  await client.closed;
  assert.equal(asked, ['/v1/events?since=7']);
  assert.equal(seen, [8]);
});

test.run();
