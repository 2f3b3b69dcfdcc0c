/** Follows an agent's event stream; lines are checked before anyone sees them. */
import type { Readable } from 'node:stream';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { Value } from 'typebox/value';
import { AgentEvent, agentStreams } from '../../interconnect/agent-api.ts';
import type { AgentClient } from './agent-client.ts';
import { createEventPace } from './event-pace.ts';

const OPEN_TIMEOUT_MS = 30_000;
const MAX_LINE_BYTES = 4_096;
/** So many are dealt with before others get their turn. */
const EVENTS_PER_TURN = 16;

export interface EventReader {
  event(event: AgentEvent): void;
  /** Every event that had happened when the stream was opened has been told. */
  caughtUp(): void;
}

/**
 * Tells of every event after `after` until stopped; when the stream ends or makes no sense, the connection
 * to the agent is closed, and whoever dials again asks from where it was. The agent sends an empty line when
 * the stream is open, and one after the events that had happened by then.
 */
export function followEvents(agent: AgentClient, after: number, reader: EventReader): () => void {
  let stop = () => {};
  let stopped = false;
  void (async () => {
    const { method, path } = agentStreams.events;
    const stream = await agent.stream({ method, path: `${path}?since=${after}`, timeoutMs: OPEN_TIMEOUT_MS });
    stop = () => stream.destroy();
    if (stopped) stop();
    const pace = createEventPace(() => performance.now());
    let [emptyLines, eventCount] = [0, 0];
    for await (const line of boundedLines(stream)) {
      if (line === '') {
        emptyLines += 1;
        if (emptyLines === 2) reader.caughtUp();
        continue;
      }
      const event: unknown = JSON.parse(line);
      if (!Value.Check(AgentEvent, event)) throw new Error('an event outside the schema');
      reader.event(event);
      eventCount += 1;
      const waitMs = pace();
      if (waitMs > 0) await sleep(waitMs, undefined, { ref: false });
      else if (eventCount % EVENTS_PER_TURN === 0) await nextTurn();
    }
    throw new Error('the event stream ended');
  })().catch(() => {
    if (!stopped) agent.close();
  });
  return () => {
    stopped = true;
    stop();
  };
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
