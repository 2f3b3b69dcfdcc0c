/**
 * Appends pages to one file in extents of 1 MiB: the device sees few, large, aligned writes, and the
 * caller a promise only when the device is behind.
 */
import type { FileHandle } from 'node:fs/promises';
import { MIB } from '../../platform/units.ts';
import { writeFully } from './durable.ts';

export const EXTENT_BYTES = MIB;
/** Extents being written at once; beyond it the caller waits. Bounds memory to one more than this. */
const MAX_IN_FLIGHT = 4;
/** A sync is begun every so often while pages arrive, so that the last one, with a task frozen, is short. */
const SYNC_EVERY_BYTES = 64 * MIB;

export class ExtentWriter {
  readonly #file: FileHandle;
  readonly #free: Buffer<ArrayBuffer>[] = [];
  readonly #inFlight = new Set<Promise<void>>();
  #extent = Buffer.allocUnsafeSlow(EXTENT_BYTES);
  #filledBytes = 0;
  #submittedBytes = 0;
  #failure: unknown;
  #syncedBytes = 0;
  #syncing = false;

  constructor(file: FileHandle) {
    this.#file = file;
  }

  /** Appended so far, whether written or not. */
  get bytes(): number {
    return this.#submittedBytes + this.#filledBytes;
  }

  /** Copies `source[start, end)` in; it may be reused when this returns. */
  append(source: Buffer, start: number, end: number): void {
    let from = start;
    while (from < end) {
      const copied = source.copy(this.#extent, this.#filledBytes, from, end);
      from += copied;
      this.#filledBytes += copied;
      if (this.#filledBytes === EXTENT_BYTES) this.#submit();
    }
  }

  /** undefined while the device keeps up. Rejects with what a write failed with. */
  backpressure(): Promise<void> | undefined {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    return this.#inFlight.size < MAX_IN_FLIGHT ? undefined : this.#waitForRoom();
  }

  /** Writes what is left and waits for everything. */
  async finish(): Promise<void> {
    if (this.#filledBytes > 0) this.#submit();
    await this.settle();
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Waits for writes under way, whatever comes of them. */
  async settle(): Promise<void> {
    while (this.#inFlight.size > 0) await Promise.all(this.#inFlight);
  }

  async #waitForRoom(): Promise<void> {
    while (this.#inFlight.size >= MAX_IN_FLIGHT) await Promise.race(this.#inFlight);
    if (this.#failure !== undefined) throw this.#failure;
  }

  #submit(): void {
    const extent = this.#extent;
    const bytes = this.#filledBytes;
    const position = this.#submittedBytes;
    this.#submittedBytes += bytes;
    this.#filledBytes = 0;
    this.#extent = this.#free.pop() ?? Buffer.allocUnsafeSlow(EXTENT_BYTES);
    const written = this.#write(extent, bytes, position);
    this.#track(written);
    void written.then(() => {
      this.#syncNowAndThen();
      if (this.#free.length < MAX_IN_FLIGHT) this.#free.push(extent);
    });
  }

  #track(pending: Promise<void>): void {
    this.#inFlight.add(pending);
    void pending.then(() => this.#inFlight.delete(pending));
  }

  #syncNowAndThen(): void {
    if (this.#syncing || this.#submittedBytes - this.#syncedBytes < SYNC_EVERY_BYTES) return;
    this.#syncing = true;
    this.#syncedBytes = this.#submittedBytes;
    this.#track(this.#sync());
  }

  async #sync(): Promise<void> {
    try {
      await this.#file.datasync();
    } catch (error) {
      this.#failure ??= error;
    } finally {
      this.#syncing = false;
    }
  }

  async #write(extent: Buffer, bytes: number, position: number): Promise<void> {
    try {
      await writeFully(this.#file, extent.subarray(0, bytes), position);
    } catch (error) {
      this.#failure ??= error;
    }
  }
}
