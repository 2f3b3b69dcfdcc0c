/** Two byte streams joined both ways, half-closes passed on. */
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream';

/** Two pipelines listen on each side, beside Node's HTTP/2 and the caller: more would be a leak. */
const MAX_STREAM_LISTENERS = 20;

/** An error on either side ends both; the end of one direction leaves the other open. */
export function joinStreams(left: Duplex, right: Duplex): void {
  const ended = (error: Error | null | undefined) => {
    if (!error) return;
    left.destroy();
    right.destroy();
  };
  for (const stream of [left, right]) stream.setMaxListeners(MAX_STREAM_LISTENERS);
  pipeline(left, right, ended);
  pipeline(right, left, ended);
}
