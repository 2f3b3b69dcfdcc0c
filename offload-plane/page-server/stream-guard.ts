/** Ends a stream that gives no byte for too long, so that no peer can hold us by doing nothing. */
import type { Duplex } from 'node:stream';
import { OffloadError } from '../../platform/errors.ts';

export interface IdleGuard {
  /** A byte came. */
  touch(): void;
  stop(): void;
}

export function guardIdle(stream: Duplex, operation: string, idleMs: number): IdleGuard {
  const timer = setTimeout(() => {
    stream.destroy(
      new OffloadError('deadline_exceeded', `${operation}: the peer gave no byte for ${idleMs} ms`),
    );
  }, idleMs);
  return { touch: () => timer.refresh(), stop: () => clearTimeout(timer) };
}

/** After the last answer CRIU closes at once; it is given no longer than this. */
const CLOSE_GRACE_MS = 2_000;

export function destroyAfterGrace(stream: Duplex): void {
  const timer = setTimeout(() => stream.destroy(), CLOSE_GRACE_MS);
  stream.once('close', () => clearTimeout(timer));
}
