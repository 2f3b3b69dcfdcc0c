/**
 * The store's byte quota: what checkpoints at rest take (the ledger) and what writers hold, reserved ahead
 * or taken as bytes arrive.
 */
import { OffloadError } from '../../platform/errors.ts';
import type { Ledger } from './ledger.ts';

export class Quota {
  readonly limitBytes: number;
  readonly #ledger: Ledger;
  #heldBytes = 0;
  #writtenBytes = 0;

  constructor(ledger: Ledger, limitBytes = Number.POSITIVE_INFINITY) {
    this.#ledger = ledger;
    this.limitBytes = limitBytes;
  }

  get usedBytes(): number {
    return this.#ledger.bytes + this.#heldBytes;
  }

  /** Of this quota; the device may have less. */
  get freeBytes(): number {
    return Math.max(0, this.limitBytes - this.usedBytes);
  }

  /** Reserved by writers and not yet on the device. */
  get pendingBytes(): number {
    return Math.max(0, this.#heldBytes - this.#writtenBytes);
  }

  /** @throws {OffloadError} no_space, before a byte too many is written. */
  hold(bytes: number, subject: string): void {
    if (bytes > this.freeBytes) {
      throw new OffloadError(
        'no_space',
        `page store ${subject}: ${this.usedBytes} bytes used and ${bytes} bytes more pass the quota of ${this.limitBytes} bytes`,
      );
    }
    this.#heldBytes += bytes;
  }

  release(bytes: number): void {
    this.#heldBytes -= bytes;
  }

  written(bytes: number): void {
    this.#writtenBytes += bytes;
  }
}

/** One writer's part of the quota, so that all of it can be given back at once. */
export class QuotaShare {
  readonly #quota: Quota;
  #heldBytes = 0;
  #reservedBytes = 0;
  #takenBytes = 0;

  constructor(quota: Quota) {
    this.#quota = quota;
  }

  /** What of `bytes` more is not held already. */
  missingFor(bytes: number): number {
    return Math.max(0, this.#takenBytes + bytes - this.#heldBytes);
  }

  /** @throws {OffloadError} no_space */
  reserve(bytes: number, subject: string): void {
    this.#hold(this.missingFor(bytes), subject);
    this.#reservedBytes = Math.max(this.#reservedBytes, this.#takenBytes + bytes);
  }

  /** @throws {OffloadError} no_space */
  take(bytes: number, subject: string): void {
    this.#hold(this.missingFor(bytes), subject);
    this.#takenBytes += bytes;
    this.#quota.written(bytes);
  }

  give(bytes: number): void {
    this.#takenBytes -= bytes;
    this.#quota.written(-bytes);
    this.#release(this.#heldBytes - Math.max(this.#takenBytes, this.#reservedBytes));
  }

  /** When the writer has ended: what it left is in the ledger. */
  giveAll(): void {
    this.#reservedBytes = 0;
    this.give(this.#takenBytes);
  }

  #hold(bytes: number, subject: string): void {
    this.#quota.hold(bytes, subject);
    this.#heldBytes += bytes;
  }

  #release(bytes: number): void {
    this.#quota.release(bytes);
    this.#heldBytes -= bytes;
  }
}
