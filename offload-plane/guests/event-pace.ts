/**
 * How fast one guest's events are taken: each costs a write to the plane's disk, which all guests share. What
 * comes faster waits in the guest, held back by HTTP/2's flow control.
 */
/** Every container of a full guest made, started and gone. */
export const EVENT_BURST = 1_000;
export const EVENTS_PER_S = 200;
const MS_PER_EVENT = 1_000 / EVENTS_PER_S;

/** Gives how long to wait before the next event is taken. */
export function createEventPace(nowMs: () => number): () => number {
  /** When the allowance is whole again. */
  let wholeAtMs = 0;
  return () => {
    const now = nowMs();
    wholeAtMs = Math.max(wholeAtMs, now) + MS_PER_EVENT;
    return Math.max(0, wholeAtMs - now - EVENT_BURST * MS_PER_EVENT);
  };
}
