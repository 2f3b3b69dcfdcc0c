/**
 * A container's standard streams on one byte stream: Docker's multiplexed frames, used both ways.
 * Each frame is a header of 8 bytes, {type u8, 0, 0, 0, length u32 big-endian}, and its payload.
 * An empty stdin frame closes the standard input; an end frame holds JSON, and nothing follows it.
 */
import { OffloadError } from '../platform/errors.ts';

export const STDIN = 0;
export const STDOUT = 1;
export const STDERR = 2;
export const END = 3;
export type FrameType = typeof STDIN | typeof STDOUT | typeof STDERR | typeof END;

export interface StdioFrame {
  type: FrameType;
  payload: Buffer;
}

/** Why a stream of frames ends. */
export type StdioEnd = { exitCode: number } | { detached: true } | { error: string };

const HEADER_BYTES = 8;
/** Nobody has to hold more than this for one frame. */
export const MAX_PAYLOAD_BYTES = 64 * 1024;

export function encodeFrame(type: FrameType, payload: Buffer | string): Buffer {
  const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload;
  if (bytes.length > MAX_PAYLOAD_BYTES) {
    throw new OffloadError(
      'internal',
      `encode stdio frame: ${bytes.length} bytes, more than ${MAX_PAYLOAD_BYTES} bytes`,
    );
  }
  const frame = Buffer.allocUnsafe(HEADER_BYTES + bytes.length);
  frame.writeUInt32BE(type * 0x1000000, 0);
  frame.writeUInt32BE(bytes.length, 4);
  bytes.copy(frame, HEADER_BYTES);
  return frame;
}

export const encodeEnd = (end: StdioEnd): Buffer => encodeFrame(END, JSON.stringify(end));

/** @throws {OffloadError} invalid_request when it is none */
export function decodeEnd(payload: Buffer): StdioEnd {
  try {
    const end = JSON.parse(payload.toString('utf8')) as Record<string, unknown>;
    if (Number.isInteger(end.exitCode)) return { exitCode: end.exitCode as number };
    if (end.detached === true) return { detached: true };
    if (typeof end.error === 'string') return { error: end.error.slice(0, 1_000) };
  } catch {
    // Said below.
  }
  throw new OffloadError('invalid_request', 'read stdio frames: an end frame that says nothing known');
}

/** Cuts what arrives into frames; holds at most one frame that is not whole yet. */
export class FrameDecoder {
  #rest: Buffer = Buffer.alloc(0);

  /** @throws {OffloadError} invalid_request for what is no frame */
  push(chunk: Buffer): StdioFrame[] {
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const frames: StdioFrame[] = [];
    while (bytes.length >= HEADER_BYTES) {
      const end = HEADER_BYTES + payloadLength(bytes);
      if (bytes.length < end) break;
      frames.push({ type: bytes[0] as FrameType, payload: bytes.subarray(HEADER_BYTES, end) });
      bytes = bytes.subarray(end);
    }
    // A copy: a view would keep the whole chunk alive.
    this.#rest = Buffer.from(bytes);
    return frames;
  }

  /** Whether a frame has begun that is not whole. */
  get isWithinFrame(): boolean {
    return this.#rest.length > 0;
  }
}

function payloadLength(header: Buffer): number {
  const [type, length] = [header[0] ?? 0, header.readUInt32BE(4)];
  const isKnown = type <= END && header.readUIntBE(1, 3) === 0;
  if (isKnown && length <= MAX_PAYLOAD_BYTES) return length;
  throw new OffloadError(
    'invalid_request',
    `read stdio frames: no frame of a known type and at most ${MAX_PAYLOAD_BYTES} bytes (type ${type}, ${length} bytes)`,
  );
}
