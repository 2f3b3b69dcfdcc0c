/**
 * Appends pages to one file in extents of 4 MiB: the device sees few, large, aligned writes, and the
 * caller a promise only when the device is behind.
 */
import { MIB } from '../../platform/units.ts';
import { alignedBuffer } from './direct-reads.ts';
import type { PagesFile } from './pages-file.ts';

export const EXTENT_BYTES = 4 * MIB;
/** Extents being written at once; beyond it the caller waits. Bounds memory to one more than this. */
const MAX_IN_FLIGHT = 8;

export class ExtentWriter {
  readonly #file: PagesFile;
  readonly #free: Buffer[] = [];
  readonly #inFlight = new Set<Promise<void>>();
  #extent = alignedBuffer(EXTENT_BYTES);
  #filledBytes = 0;
  #submittedBytes = 0;
  #failure: unknown;

  constructor(file: PagesFile) {
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
    const position = this.#submittedBytes;
    this.#submittedBytes += this.#filledBytes;
    const written = this.#write(extent.subarray(0, this.#filledBytes), position).then(() => {
      this.#inFlight.delete(written);
      this.#free.push(extent);
    });
    this.#inFlight.add(written);
    // A device slower than the dump must not hold up a frozen container: memory takes the rest.
    if (this.#inFlight.size >= MAX_IN_FLIGHT) this.#file.useCache();
    this.#extent = this.#free.pop() ?? alignedBuffer(EXTENT_BYTES);
    this.#filledBytes = 0;
  }

  async #write(pages: Buffer, position: number): Promise<void> {
    try {
      await this.#file.write(pages, position);
    } catch (error) {
      this.#failure ??= error;
    }
  }
}
