/**
 * What happened to containers, numbered, kept for a while, so that a plane that was away can catch up. The
 * log is a file as well: an agent that is started again goes on where the last one ended.
 */
import { appendFileSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import type { AgentEvent } from '../interconnect/agent-api.ts';

const KEPT_EVENTS = 10_000;
type Listener = (event: AgentEvent) => void;

const lineOf = (event: AgentEvent) => `${JSON.stringify(event)}\n`;

/** @param path of the log; what an earlier agent wrote there counts */
export function createEventLog(path: string, nowMs: () => number, keptEvents = KEPT_EVENTS) {
  const events = readLog(path).slice(-keptEvents);
  const listeners = new Set<Listener>();
  let sequence = events.at(-1)?.sequence ?? 0;
  let linesInFile = 0;
  rewrite();

  function rewrite(): void {
    writeFileSync(`${path}.new`, events.map(lineOf).join(''));
    renameSync(`${path}.new`, path);
    linesInFile = events.length;
  }

  return {
    /** @param atMs when it happened, if not now */
    emit(event: Omit<AgentEvent, 'sequence' | 'atMs'>, atMs = nowMs()): void {
      sequence += 1;
      const full = { sequence, atMs, ...event };
      events.push(full);
      if (events.length > keptEvents) events.shift();
      // Before anybody hears of it: a number is never given twice.
      if (linesInFile >= 2 * keptEvents) rewrite();
      else {
        appendFileSync(path, lineOf(full));
        linesInFile += 1;
      }
      for (const listener of listeners) listener(full);
    },
    since(after: number): AgentEvent[] {
      return events.filter((event) => event.sequence > after);
    },
    /** The last that is known of a container. */
    lastOf(container: string): AgentEvent | undefined {
      return events.findLast((event) => event.container === container);
    },
    /** Whether there were events that are no longer kept. */
    hasForgotten: () => sequence > events.length,
    subscribe(listener: Listener): () => void {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
export type EventLog = ReturnType<typeof createEventLog>;

/** The last line may be half a line: nobody has heard of that event. */
function readLog(path: string): AgentEvent[] {
  let text = '';
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    return [];
  }
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as AgentEvent);
}
