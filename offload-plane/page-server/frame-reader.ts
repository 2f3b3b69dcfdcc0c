/**
 * Reads a pager's frames out of chunks of any size. What a frame may carry is checked at its header,
 * before a byte of its payload is kept: a guest decides neither how much we buffer nor for how long.
 */
import {
  COUNTERS_BYTES,
  decodeHeader,
  type FrameHeader,
  FrameType,
  HEADER_BYTES,
  MAX_ERROR_BYTES,
  MAX_PAYLOAD_BYTES,
  RANGE_BYTES,
  TOKEN_BYTES,
} from '../../interconnect/page-protocol.ts';
import { OffloadError } from '../../platform/errors.ts';

/** [least, most] payload bytes of every type a pager may send. */
const PAYLOAD_BYTES: Record<number, readonly [number, number]> = {
  [FrameType.HELLO]: [TOKEN_BYTES, TOKEN_BYTES],
  [FrameType.CREDIT]: [0, 0],
  [FrameType.FAULT]: [0, 0],
  [FrameType.RESTORED]: [0, 0],
  [FrameType.STATUS]: [COUNTERS_BYTES, COUNTERS_BYTES],
  [FrameType.DONE]: [COUNTERS_BYTES, COUNTERS_BYTES],
  [FrameType.ERROR]: [0, MAX_ERROR_BYTES],
  [FrameType.MISSING]: [RANGE_BYTES, MAX_PAYLOAD_BYTES],
  [FrameType.MISSING_END]: [0, 0],
};

const EMPTY = Buffer.alloc(0);

export type FrameHandler = (header: FrameHeader, payload: Buffer) => void;

export class FrameReader {
  readonly #head = Buffer.alloc(HEADER_BYTES);
  #headBytes = 0;
  #header: FrameHeader | undefined;
  #payload = EMPTY;
  #payloadBytes = 0;

  /**
   * Calls `handle` for every frame that is whole now. The payload is the handler's to keep.
   * @throws {OffloadError} page_protocol_violation
   */
  push(chunk: Buffer, handle: FrameHandler): void {
    let offset = 0;
    while (offset < chunk.length) {
      if (this.#header === undefined) {
        const copied = chunk.copy(this.#head, this.#headBytes, offset);
        offset += copied;
        this.#headBytes += copied;
        if (this.#headBytes < HEADER_BYTES) return;
        this.#begin(decodeHeader(this.#head));
      } else {
        const copied = chunk.copy(this.#payload, this.#payloadBytes, offset);
        offset += copied;
        this.#payloadBytes += copied;
      }
      if (this.#header !== undefined && this.#payloadBytes === this.#payload.length) this.#deliver(handle);
    }
  }

  #begin(header: FrameHeader): void {
    this.#headBytes = 0;
    const bounds = PAYLOAD_BYTES[header.type];
    if (bounds === undefined) throw violation(`frame type ${header.type} is not a pager's to send`);
    const [least, most] = bounds;
    if (header.payloadBytes < least || header.payloadBytes > most) {
      throw violation(`frame type ${header.type} with ${header.payloadBytes} bytes, limit ${most} bytes`);
    }
    this.#header = header;
    this.#payloadBytes = 0;
    this.#payload = header.payloadBytes === 0 ? EMPTY : Buffer.allocUnsafe(header.payloadBytes);
  }

  #deliver(handle: FrameHandler): void {
    const header = this.#header!;
    const payload = this.#payload;
    this.#header = undefined;
    this.#payload = EMPTY;
    this.#payloadBytes = 0;
    handle(header, payload);
  }
}

export function violation(what: string): OffloadError {
  return new OffloadError('page_protocol_violation', `page session: ${what}`);
}
