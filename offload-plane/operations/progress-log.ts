/** The events of one operation, for however many follow it; the oldest go when there are too many. */
import type { OperationEvent } from './operation.ts';

const KEPT_EVENTS = 256;

export function createProgressLog() {
  const events: OperationEvent[] = [];
  let dropped = 0;
  let ended = false;
  let wakeAll = Promise.withResolvers<void>();

  function add(event: OperationEvent): void {
    events.push(event);
    if (events.length > KEPT_EVENTS) {
      events.shift();
      dropped += 1;
    }
    wakeAll.resolve();
    wakeAll = Promise.withResolvers();
  }

  return {
    add,
    end(event: OperationEvent): void {
      ended = true;
      add(event);
    },
    /** A reader that falls behind misses the oldest, and never the last. */
    async *read(signal: AbortSignal): AsyncGenerator<OperationEvent> {
      const aborted = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
      let next = 0;
      while (!signal.aborted) {
        next = Math.max(next, dropped);
        const event = events[next - dropped];
        if (event) {
          next += 1;
          yield event;
        } else if (ended) return;
        else await Promise.race([wakeAll.promise, aborted]);
      }
    },
  };
}
export type ProgressLog = ReturnType<typeof createProgressLog>;
