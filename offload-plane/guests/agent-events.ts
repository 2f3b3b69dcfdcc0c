/** Follows an agent's event stream; lines are checked before anyone sees them. */
import type { Readable } from 'node:stream';
import { Value } from 'typebox/value';
import { AgentEvent, agentStreams } from '../../interconnect/agent-api.ts';
import type { AgentClient } from './agent-client.ts';

const OPEN_TIMEOUT_MS = 30_000;
const MAX_LINE_BYTES = 4_096;

/** Calls `onEvent` for every event until stopped or the guest is gone. */
export function followEvents(agent: AgentClient, onEvent: (event: AgentEvent) => void): () => void {
  let stopped = false;
  let stop = () => {
    stopped = true;
  };
  async function followOnce(since: number): Promise<number> {
    const { method, path } = agentStreams.events;
    const stream = await agent.stream({ method, path: `${path}?since=${since}`, timeoutMs: OPEN_TIMEOUT_MS });
    stop = () => {
      stopped = true;
      stream.destroy();
    };
    if (stopped) stop();
    let last = since;
    for await (const line of boundedLines(stream)) {
      if (line === '') continue;
      const event: unknown = JSON.parse(line);
      if (!Value.Check(AgentEvent, event)) throw new Error('an event outside the schema');
      last = event.sequence;
      onEvent(event);
    }
    return last;
  }
  void (async () => {
    // The agent cuts off a reader that falls behind; one that was given nothing at all is not asked again.
    for (let since = 0, last = await followOnce(0); !stopped; last = await followOnce(since)) {
      if (last <= since) throw new Error('the event stream ended');
      since = last;
    }
  })().catch(() => {
    if (!stopped) agent.close();
  });
  return () => stop();
}

/** What a guest sends without a newline is held up to the limit and no further. */
async function* boundedLines(stream: Readable): AsyncGenerator<string> {
  let rest = '';
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    const lines = (rest + chunk.toString('utf8')).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > MAX_LINE_BYTES) throw new Error(`an event of over ${MAX_LINE_BYTES} bytes`);
    yield* lines;
  }
}
