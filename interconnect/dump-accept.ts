/** The plane's half of a dump stream: takes the token, then acknowledges bytes as they are consumed. */
import { Duplex } from 'node:stream';
import { OffloadError } from '../platform/errors.ts';
import {
  DUMP_TOKEN_BYTES,
  DumpFrame,
  dumpDeadline,
  dumpViolation,
  encodeDumpFrame,
  MAX_DATA_BYTES,
  MAX_WINDOW_BYTES,
} from './dump-frames.ts';

export interface AcceptDumpOptions {
  /** For the token to arrive. Default 10 s. */
  tokenDeadlineMs?: number;
  /** Neither a byte from the guest nor one taken by the consumer. Default 60 s. */
  idleDeadlineMs?: number;
  /** More than this unacknowledged is a violation. Default 1 MiB. */
  maxWindowBytes?: number;
}

/** An ACK is sent for at least so much, or for the last byte there is. */
const ACK_BYTES = 16 * 1024;

/**
 * Reads the token; who may have it is for the caller to say. `stream` is what the guest relays.
 * @throws {OffloadError} deadline_exceeded, guest_lost; the connection is destroyed then
 */
export async function acceptDump(
  connection: Duplex,
  options: AcceptDumpOptions = {},
): Promise<{ token: Buffer; stream: Duplex }> {
  connection.on('error', () => {}); // the duplex tells of it, or the rejection below
  try {
    const token = await readToken(connection, options.tokenDeadlineMs ?? 10_000);
    return { token, stream: new AcknowledgedStream(connection, options) };
  } catch (error) {
    connection.destroy();
    throw error;
  }
}

function readToken(connection: Duplex, deadlineMs: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const take = () => {
      const token = connection.read(DUMP_TOKEN_BYTES) as Buffer | null;
      if (token === null) return;
      if (token.length === DUMP_TOKEN_BYTES) finish(() => resolve(token));
      else lost();
    };
    const lost = () =>
      finish(() => reject(new OffloadError('guest_lost', 'dump stream: closed before its token')));
    const timer = setTimeout(() => finish(() => reject(dumpDeadline('no token', deadlineMs))), deadlineMs);
    const finish = (settle: () => void) => {
      clearTimeout(timer);
      connection.off('readable', take).off('end', lost).off('close', lost);
      settle();
    };
    connection.on('readable', take).on('end', lost).on('close', lost);
    take();
  });
}

class AcknowledgedStream extends Duplex {
  readonly #connection: Duplex;
  readonly #maxWindowBytes: number;
  readonly #idleTimer: NodeJS.Timeout;
  #receivedBytes = 0;
  #acknowledgedBytes = 0;
  #ended = false;

  constructor(connection: Duplex, options: AcceptDumpOptions) {
    super({ allowHalfOpen: false });
    this.#connection = connection;
    this.#maxWindowBytes = options.maxWindowBytes ?? MAX_WINDOW_BYTES;
    const idleDeadlineMs = options.idleDeadlineMs ?? 60_000;
    this.#idleTimer = setTimeout(
      () => this.destroy(dumpDeadline('nothing moved', idleDeadlineMs)),
      idleDeadlineMs,
    );
    connection.on('data', (chunk: Buffer) => this.#take(chunk));
    connection.on('end', () => this.#end());
    connection.on('error', (error) => this.destroy(error));
    connection.on('close', () => this.#closed());
    // A consumer is told; of a stream whose token was refused there is none, and its end harms nobody.
    this.on('error', () => {});
  }

  /** Everyone who takes bytes does it through here, so this is where they count as consumed. */
  override read(size?: number): Buffer | null {
    const chunk = super.read(size) as Buffer | null;
    this.#acknowledge();
    return chunk;
  }

  override _read(): void {
    this.#connection.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    for (let offset = 0; offset < chunk.length; offset += MAX_DATA_BYTES) {
      const part = chunk.subarray(offset, offset + MAX_DATA_BYTES);
      this.#connection.write(encodeDumpFrame(DumpFrame.DATA, part.length));
      this.#connection.write(part, offset + MAX_DATA_BYTES >= chunk.length ? callback : undefined);
    }
    if (chunk.length === 0) callback();
  }

  override _final(callback: (error?: Error | null) => void): void {
    if (this.#connection.destroyed) callback();
    else this.#connection.end(() => callback());
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    clearTimeout(this.#idleTimer);
    this.#connection.destroy();
    callback(error);
  }

  #take(chunk: Buffer): void {
    this.#receivedBytes += chunk.length;
    this.#idleTimer.refresh();
    const unacknowledgedBytes = this.#receivedBytes - this.#acknowledgedBytes;
    if (unacknowledgedBytes > this.#maxWindowBytes) {
      this.destroy(
        dumpViolation(`${unacknowledgedBytes} bytes unacknowledged, limit ${this.#maxWindowBytes} bytes`),
      );
      return;
    }
    if (!this.push(chunk)) this.#connection.pause();
    this.#acknowledge(); // a flowing stream hands a chunk on without a read()
  }

  #acknowledge(): void {
    const consumedBytes = this.#receivedBytes - this.readableLength - this.#acknowledgedBytes;
    if (consumedBytes <= 0 || this.destroyed) return;
    this.#idleTimer.refresh();
    if (consumedBytes < ACK_BYTES && this.readableLength > 0) return;
    this.#acknowledgedBytes += consumedBytes;
    this.#connection.write(encodeDumpFrame(DumpFrame.ACK, consumedBytes));
  }

  #end(): void {
    this.#ended = true;
    this.push(null);
  }

  #closed(): void {
    if (this.#ended || this.destroyed) return;
    this.destroy(new OffloadError('guest_lost', `dump stream: lost after ${this.#receivedBytes} bytes`));
  }
}
