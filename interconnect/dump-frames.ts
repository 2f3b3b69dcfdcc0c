/** What both halves of a dump stream agree on; dump-stream.ts tells the conversation. */
import { OffloadError } from '../platform/errors.ts';

export const DUMP_TOKEN_BYTES = 32;
/** The vsock daemon with a 1 MiB buffer never stalled with 128 KiB unacknowledged; 48 KiB with its default. */
export const DEFAULT_WINDOW_BYTES = 96 * 1024;
/** What the plane takes unacknowledged before it calls it a violation. */
export const MAX_WINDOW_BYTES = 1024 * 1024;
/** Answers are a few bytes. */
export const MAX_DATA_BYTES = 64 * 1024;
export const DUMP_FRAME_BYTES = 8;

export const DumpFrame = { ACK: 1, DATA: 2 } as const;

export function encodeDumpFrame(kind: number, bytes: number): Buffer {
  const frame = Buffer.allocUnsafe(DUMP_FRAME_BYTES);
  frame.writeUInt32LE(kind, 0);
  frame.writeUInt32LE(bytes, 4);
  return frame;
}

export function dumpViolation(what: string): OffloadError {
  return new OffloadError('page_protocol_violation', `dump stream: ${what}`);
}

export function dumpDeadline(what: string, timeoutMs: number): OffloadError {
  return new OffloadError('deadline_exceeded', `dump stream: ${what} for ${timeoutMs} ms`);
}
