/** What happened to containers, numbered, kept for a while, so that a plane that was away can catch up. */
import type { AgentEvent } from '../interconnect/agent-api.ts';

const KEPT_EVENTS = 10_000;
type Listener = (event: AgentEvent) => void;

export function createEventLog(nowMs: () => number) {
  const events: AgentEvent[] = [];
  const listeners = new Set<Listener>();
  let sequence = 0;
  return {
    emit(event: Omit<AgentEvent, 'sequence' | 'atMs'>): void {
      sequence += 1;
      const full = { sequence, atMs: nowMs(), ...event };
      events.push(full);
      if (events.length > KEPT_EVENTS) events.shift();
      for (const listener of listeners) listener(full);
    },
    since(after: number): AgentEvent[] {
      return events.filter((event) => event.sequence > after);
    },
    subscribe(listener: Listener): () => void {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
export type EventLog = ReturnType<typeof createEventLog>;
