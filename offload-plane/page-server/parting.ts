/** The last frame to a pager that is turned away or has to end its container: the reason, and then the end. */
import type { Duplex } from 'node:stream';
import { encodeFrame, type FrameType, MAX_ERROR_BYTES } from '../../interconnect/page-protocol.ts';

const CLOSE_TIMEOUT_MS = 1_000;

export function partFrom(
  stream: Duplex,
  type: typeof FrameType.ERROR | typeof FrameType.ABORT,
  reason: string,
): void {
  const payload = Buffer.from(reason).subarray(0, MAX_ERROR_BYTES);
  stream.end(encodeFrame({ type }, payload));
  const timer = setTimeout(() => stream.destroy(), CLOSE_TIMEOUT_MS);
  stream.once('close', () => clearTimeout(timer));
}
