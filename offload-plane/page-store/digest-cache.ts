/**
 * Sums of digests by the digest of their checkpoint, kept when it closes: 8 bytes a page, of the checkpoints
 * that were restored last.
 */
import { MIB } from '../../platform/units.ts';
import type { CheckpointFiles } from './checkpoint-files.ts';
import { sumDigests } from './page-digests.ts';

const MAX_BYTES = 64 * MIB;

export class DigestCache {
  /** In the order in which they were asked for last. */
  readonly #sums = new Map<string, Promise<BigUint64Array>>();
  #bytes = 0;

  async prepare(files: CheckpointFiles): Promise<void> {
    const { digest } = files.manifest;
    const known = this.#sums.get(digest);
    const sums = known ?? sumDigests(files);
    this.#sums.delete(digest);
    this.#sums.set(digest, sums);
    files.digestSums = await sums;
    if (known !== undefined) return;
    this.#bytes += files.digestSums.byteLength;
    for (const [oldest, old] of this.#sums) {
      if (this.#bytes <= MAX_BYTES) return;
      this.#sums.delete(oldest);
      this.#bytes -= (await old).byteLength;
    }
  }
}
