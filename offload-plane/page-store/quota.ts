/** The store's byte quota: taken as bytes arrive, given back when a checkpoint goes. */
import { OffloadError } from '../../platform/errors.ts';

export class Quota {
  readonly limitBytes: number;
  #usedBytes = 0;

  constructor(limitBytes = Number.POSITIVE_INFINITY) {
    this.limitBytes = limitBytes;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** @throws {OffloadError} no_space, before a byte too many is written. */
  take(bytes: number, subject: string): void {
    if (this.#usedBytes + bytes > this.limitBytes) {
      throw new OffloadError(
        'no_space',
        `page store ${subject}: ${this.#usedBytes} bytes used and ${bytes} bytes more pass the quota of ${this.limitBytes} bytes`,
      );
    }
    this.#usedBytes += bytes;
  }

  /** Bytes that are there already, over the limit or not. */
  count(bytes: number): void {
    this.#usedBytes += bytes;
  }

  give(bytes: number): void {
    this.#usedBytes = Math.max(0, this.#usedBytes - bytes);
  }
}

/** One checkpoint's part of the quota, so that all of it can be given back at once. */
export class QuotaShare {
  readonly #quota: Quota;
  #takenBytes = 0;

  constructor(quota: Quota) {
    this.#quota = quota;
  }

  take(bytes: number, subject: string): void {
    this.#quota.take(bytes, subject);
    this.#takenBytes += bytes;
  }

  give(bytes: number): void {
    this.#quota.give(bytes);
    this.#takenBytes -= bytes;
  }

  /** What was estimated while writing becomes what is there. */
  settle(bytes: number): void {
    this.#quota.give(this.#takenBytes);
    this.#quota.count(bytes);
    this.#takenBytes = bytes;
  }

  giveAll(): void {
    this.give(this.#takenBytes);
  }
}
