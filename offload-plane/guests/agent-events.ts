/** Follows an agent's event stream; lines are checked before anyone sees them. */
import { createInterface } from 'node:readline';
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
  void (async () => {
    const { method, path } = agentStreams.events;
    const stream = await agent.stream({ method, path, timeoutMs: OPEN_TIMEOUT_MS });
    stop = () => {
      stopped = true;
      stream.destroy();
    };
    if (stopped) stop();
    for await (const line of createInterface({ input: stream })) {
      if (line === '') continue;
      const event: unknown = line.length <= MAX_LINE_BYTES ? JSON.parse(line) : undefined;
      if (!Value.Check(AgentEvent, event)) throw new Error('an event outside the schema');
      onEvent(event);
    }
  })().catch(() => {
    if (!stopped) agent.close();
  });
  return () => stop();
}
