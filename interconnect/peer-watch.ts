/**
 * Whether the other end of an HTTP/2 connection is still there: a connection can stay open for ever with nobody
 * behind it. One that is slow is there, as long as it answers within the deadline.
 */
import type { Http2Session } from 'node:http2';

/** A peer that says nothing for so long, asked for it, is gone, however open its connection looks. */
export const PEER_TIMEOUT_MS = 20_000;
const INTERVAL_MS = 5_000;

export interface PeerWatchOptions {
  timeoutMs: number;
  /** Only a peer that has been silent for so long is asked; default: it is asked at every look. */
  quietMs?: number;
  onAnswer?: (durationMs: number) => void;
}

/** Destroys the session when its peer is gone; ends with the session. */
export function watchPeer(
  session: Http2Session,
  { timeoutMs, quietMs = 0, onAnswer }: PeerWatchOptions,
): void {
  const intervalMs = Math.min(INTERVAL_MS, timeoutMs / 4);
  let lastHeardMs = performance.now();
  let lastLookMs = lastHeardMs;
  const heard = () => {
    lastHeardMs = performance.now();
  };
  const look = () => {
    if (session.destroyed) return;
    const now = performance.now();
    // Who was held up itself, as by a long sync, has not listened: what came meanwhile is read first.
    if (now - lastLookMs > timeoutMs / 2) heard();
    lastLookMs = now;
    if (now - lastHeardMs > timeoutMs) {
      session.destroy(new Error(`no PING answered within ${timeoutMs} ms`));
    } else if (now - lastHeardMs >= quietMs) {
      session.ping((error, durationMs) => {
        if (error) return;
        heard();
        onAnswer?.(durationMs);
      });
    }
  };
  const timer = setInterval(look, intervalMs);
  timer.unref();
  session.on('ping', heard);
  session.once('close', () => clearInterval(timer));
}
