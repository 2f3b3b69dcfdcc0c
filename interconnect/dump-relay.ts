/** The guest's half of a dump stream: CRIU's connection on one side, the plane's on the other. */
import type { Duplex } from 'node:stream';
import { OffloadError } from '../platform/errors.ts';
import {
  DEFAULT_WINDOW_BYTES,
  DUMP_FRAME_BYTES,
  DUMP_TOKEN_BYTES,
  DumpFrame,
  dumpDeadline,
  dumpViolation,
  MAX_DATA_BYTES,
} from './dump-frames.ts';

export interface RelayDumpOptions {
  token: Buffer;
  /** Most that is under way without an acknowledgement. Default 96 KiB. */
  windowBytes?: number;
  /** No byte and no acknowledgement for so long. Default 60 s. */
  idleDeadlineMs?: number;
}

/** What the plane gets to close its side, once everything has arrived. */
const CLOSE_GRACE_MS = 2_000;

/**
 * Relays until CRIU is done and the plane has acknowledged everything. Both streams are closing
 * then, and destroyed when it fails.
 * @throws {OffloadError} deadline_exceeded, page_protocol_violation, internal (a side went away)
 */
export function relayDump(
  criu: Duplex,
  plane: Duplex,
  options: RelayDumpOptions,
): Promise<{ bytes: number }> {
  if (options.token.length !== DUMP_TOKEN_BYTES) {
    throw dumpViolation(`token of ${options.token.length} bytes, expected ${DUMP_TOKEN_BYTES} bytes`);
  }
  return new Promise((resolve, reject) => {
    new DumpRelay(criu, plane, options, (error, bytes) =>
      error ? reject(error) : resolve({ bytes }),
    ).start();
  });
}

class DumpRelay {
  readonly #criu: Duplex;
  readonly #plane: Duplex;
  readonly #token: Buffer;
  readonly #windowBytes: number;
  readonly #idleDeadlineMs: number;
  readonly #onEnd: (error: unknown, bytes: number) => void;
  #timer: NodeJS.Timeout | undefined;
  #sentBytes = 0;
  #acknowledgedBytes = 0;
  #criuEnded = false;
  #planeEnded = false;
  #over = false;
  #pending: Buffer = Buffer.alloc(0);

  constructor(
    criu: Duplex,
    plane: Duplex,
    options: RelayDumpOptions,
    onEnd: (error: unknown, bytes: number) => void,
  ) {
    this.#criu = criu;
    this.#plane = plane;
    this.#token = options.token;
    this.#windowBytes = options.windowBytes ?? DEFAULT_WINDOW_BYTES;
    this.#idleDeadlineMs = options.idleDeadlineMs ?? 60_000;
    this.#onEnd = onEnd;
  }

  start(): void {
    const { criu, plane } = { criu: this.#criu, plane: this.#plane };
    this.#timer = setTimeout(
      () => this.#fail(dumpDeadline('nothing moved', this.#idleDeadlineMs)),
      this.#idleDeadlineMs,
    );
    criu.on('readable', () => this.#pump());
    criu.on('end', () => this.#criuDone());
    criu.on('error', (error) => this.#fail(error));
    criu.on('close', () => this.#criuEnded || this.#fail(this.#gone('CRIU')));
    plane.on('data', (chunk: Buffer) => this.#guarded(() => this.#takeFrames(chunk)));
    plane.on('end', () => this.#guarded(() => this.#planeDone()));
    plane.on('error', (error) => this.#fail(error));
    plane.on('close', () => this.#planeClosed());
    plane.write(this.#token);
    this.#pump();
  }

  /** Sends what CRIU has, as far as the window goes; an acknowledgement opens it again. */
  #pump(): void {
    while (!this.#over) {
      const roomBytes = this.#windowBytes - (this.#sentBytes - this.#acknowledgedBytes);
      const bytes = Math.min(roomBytes, this.#criu.readableLength);
      if (bytes <= 0) {
        // A stream that has ended says so only to one who reads on.
        if (this.#criu.readableLength === 0) this.#criu.read(0);
        return;
      }
      const chunk = this.#criu.read(bytes) as Buffer | null;
      if (chunk === null) return;
      if (this.#planeEnded) {
        this.#fail(this.#gone('the plane'));
        return;
      }
      this.#sentBytes += chunk.length;
      this.#timer?.refresh();
      this.#plane.write(chunk);
    }
  }

  #takeFrames(chunk: Buffer): void {
    this.#timer?.refresh();
    let rest = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
    while (rest.length >= DUMP_FRAME_BYTES) {
      const kind = rest.readUInt32LE(0);
      const bytes = rest.readUInt32LE(4);
      if (kind === DumpFrame.ACK) this.#acknowledged(bytes);
      else if (kind !== DumpFrame.DATA || bytes > MAX_DATA_BYTES) {
        throw dumpViolation(`frame of kind ${kind} with ${bytes} bytes, limit ${MAX_DATA_BYTES} bytes`);
      }
      const payloadBytes = kind === DumpFrame.DATA ? bytes : 0;
      if (rest.length < DUMP_FRAME_BYTES + payloadBytes) break;
      if (payloadBytes > 0) this.#answer(rest.subarray(DUMP_FRAME_BYTES, DUMP_FRAME_BYTES + payloadBytes));
      rest = rest.subarray(DUMP_FRAME_BYTES + payloadBytes);
    }
    this.#pending = Buffer.from(rest);
    this.#pump();
    this.#finishWhenAcknowledged();
  }

  #acknowledged(bytes: number): void {
    this.#acknowledgedBytes += bytes;
    if (this.#acknowledgedBytes > this.#sentBytes) {
      throw dumpViolation(`${this.#acknowledgedBytes} bytes acknowledged, ${this.#sentBytes} bytes sent`);
    }
  }

  #answer(bytes: Buffer): void {
    if (this.#criu.writableLength > MAX_DATA_BYTES) {
      throw dumpViolation(`CRIU leaves more than ${MAX_DATA_BYTES} bytes of answers unread`);
    }
    if (!this.#criu.writableEnded) this.#criu.write(Buffer.from(bytes));
  }

  #criuDone(): void {
    this.#criuEnded = true;
    this.#finishWhenAcknowledged();
  }

  #planeDone(): void {
    this.#planeEnded = true;
    if (this.#acknowledgedBytes < this.#sentBytes) throw this.#gone('the plane');
    this.#criu.end();
    this.#finishWhenAcknowledged();
  }

  #planeClosed(): void {
    const whole = this.#criuEnded && this.#acknowledgedBytes === this.#sentBytes;
    if (whole) this.#finish(undefined);
    else this.#fail(this.#gone('the plane'));
  }

  /** Only now is it safe to close: what is not acknowledged may be lost with the connection. */
  #finishWhenAcknowledged(): void {
    if (!this.#criuEnded || this.#acknowledgedBytes < this.#sentBytes) return;
    this.#plane.end();
    this.#criu.end();
    const timer = setTimeout(() => this.#plane.destroy(), CLOSE_GRACE_MS);
    this.#plane.once('close', () => clearTimeout(timer));
    this.#finish(undefined);
  }

  #guarded(step: () => void): void {
    try {
      if (!this.#over) step();
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    this.#finish(error);
    this.#criu.destroy();
    this.#plane.destroy();
  }

  #finish(error: unknown): void {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#timer);
    this.#onEnd(error, this.#sentBytes);
  }

  #gone(who: string): OffloadError {
    const sent = `${this.#sentBytes} bytes sent, ${this.#acknowledgedBytes} bytes acknowledged`;
    return new OffloadError('internal', `dump stream: ${who} went away (${sent})`);
  }
}
