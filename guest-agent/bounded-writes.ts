/**
 * A stream whose writes reach the socket one by one and never longer than MAX_WRITE_BYTES.
 *
 * Linux (since 6.17, and backported to Debian 13's 6.12) sends a vsock packet of more than about 32 KiB
 * from several buffers, and vhost-device-vsock 0.3.0 keeps only the last of them: the rest of the packet is
 * lost without an error. One write is one packet, and libuv would join queued writes into one.
 */
import { Duplex } from 'node:stream';

/** Below SKB_WITH_OVERHEAD(PAGE_SIZE << 3) with the packet's header: such a packet has one buffer. */
const MAX_WRITE_BYTES = 28 * 1024;

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

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    const writeFrom = (offset: number) => {
      const end = Math.min(offset + MAX_WRITE_BYTES, chunk.length);
      this.#socket.write(chunk.subarray(offset, end), (error) => {
        if (error || end === chunk.length) callback(error);
        else writeFrom(end);
      });
    };
    writeFrom(0);
  }

  override _final(callback: (error?: Error | null) => void): void {
    this.#socket.end(() => callback());
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#socket.destroy();
    callback(error);
  }
}

export function boundWrites(socket: Duplex): Duplex {
  return new BoundedWrites(socket);
}
