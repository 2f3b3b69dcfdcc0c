/**
 * A stream whose writes reach the socket as packets of at most MAX_PACKET_BYTES, one at a time: what waits is
 * joined, as each packet is a trip through the host, and what is too long is cut.
 *
 * Linux (since 6.17, and backported to Debian 13's 6.12) sends a vsock packet of more than about 32 KiB
 * from several buffers, and vhost-device-vsock 0.3.0 keeps only the last of them: the rest of the packet is
 * lost without an error. One write is one packet, and libuv would join queued writes without a bound.
 */
import { Duplex } from 'node:stream';

/** Below SKB_WITH_OVERHEAD(PAGE_SIZE << 3) with the packet's header: such a packet has one buffer. */
const MAX_PACKET_BYTES = 28 * 1024;

type WriteCallback = (error?: Error | null) => void;

class BoundedWrites extends Duplex {
  readonly #socket: Duplex;

  constructor(socket: Duplex) {
    super({ allowHalfOpen: true });
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => {
      if (!this.push(chunk)) socket.pause();
    });
    socket.on('end', () => this.push(null));
    socket.on('error', (error) => this.destroy(error));
    // After a clean end there may be bytes that nobody has read yet; this stream ends by itself then.
    socket.on('close', () => {
      if (!socket.readableEnded) this.destroy();
    });
  }

  override _read(): void {
    this.#socket.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: WriteCallback): void {
    this.#send(packetsOf([chunk]), callback);
  }

  override _writev(chunks: { chunk: Buffer }[], callback: WriteCallback): void {
    this.#send(packetsOf(chunks.map(({ chunk }) => chunk)), callback);
  }

  #send(packets: Iterator<Buffer>, callback: WriteCallback): void {
    const { value: packet } = packets.next();
    if (packet === undefined) {
      callback();
      return;
    }
    this.#socket.write(packet, (error) => {
      if (error) callback(error);
      else this.#send(packets, callback);
    });
  }

  override _final(callback: WriteCallback): void {
    this.#socket.end(() => callback());
  }

  override _destroy(error: Error | null, callback: WriteCallback): void {
    this.#socket.destroy();
    callback(error);
  }
}

export function boundWrites(socket: Duplex): Duplex {
  return new BoundedWrites(socket);
}

function* packetsOf(chunks: readonly Buffer[]): Generator<Buffer, undefined> {
  let parts: Buffer[] = [];
  let roomBytes = MAX_PACKET_BYTES;
  for (const chunk of chunks) {
    for (let rest = chunk; rest.length > 0; ) {
      const part = rest.subarray(0, roomBytes);
      parts.push(part);
      roomBytes -= part.length;
      rest = rest.subarray(part.length);
      if (roomBytes > 0) continue;
      yield joined(parts);
      parts = [];
      roomBytes = MAX_PACKET_BYTES;
    }
  }
  if (parts.length > 0) yield joined(parts);
}

const joined = (parts: Buffer[]): Buffer => (parts.length === 1 ? parts[0]! : Buffer.concat(parts));
