/** Two byte streams joined both ways, half-closes passed on. */
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream';

/** An error on either side ends both; the end of one direction leaves the other open. */
export function joinStreams(left: Duplex, right: Duplex): void {
  const ended = (error: Error | null | undefined) => {
    if (!error) return;
    left.destroy();
    right.destroy();
  };
  pipeline(left, right, ended);
  pipeline(right, left, ended);
}
