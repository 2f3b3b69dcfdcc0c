/** Checksums of stored pages as they come: 8 bytes each, in one array that grows. */

export const CHECKSUM_BYTES = 8;

export class ChecksumList {
  #all = new BigUint64Array(4096);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** A view: valid until more come. */
  get checksums(): BigUint64Array {
    return this.#all.subarray(0, this.#count);
  }

  /** Room for `count` more, counted already; whoever asks fills it. */
  extend(count: number): BigUint64Array {
    const first = this.#count;
    this.#count += count;
    if (this.#count > this.#all.length) {
      const grown = new BigUint64Array(Math.max(this.#count, this.#all.length * 2));
      grown.set(this.#all);
      this.#all = grown;
    }
    return this.#all.subarray(first, this.#count);
  }
}
