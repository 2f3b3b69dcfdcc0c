/** Checkpoints that are open: all readers of one share its files, which close with the last of them. */
import { type CheckpointFiles, closeCheckpointFiles } from './checkpoint-files.ts';
import { DigestCache } from './digest-cache.ts';
import { HotPool } from './hot-pool.ts';

interface Shared {
  files: Promise<CheckpointFiles>;
  readerCount: number;
}

export class OpenCheckpoints {
  /** Working sets in memory, of whatever is open. */
  readonly hot = new HotPool();
  readonly digests = new DigestCache();
  readonly #open: (id: string) => Promise<CheckpointFiles>;
  readonly #shared = new Map<string, Shared>();

  constructor(open: (id: string) => Promise<CheckpointFiles>) {
    this.#open = open;
  }

  has(id: string): boolean {
    return this.#shared.has(id);
  }

  /** From the call on `has` is true, until `release`. */
  async acquire(id: string): Promise<{ files: CheckpointFiles; release(): Promise<void> }> {
    const shared = this.#shared.get(id) ?? { files: this.#open(id), readerCount: 0 };
    this.#shared.set(id, shared);
    shared.readerCount++;
    try {
      const files = await shared.files;
      return { files, release: () => this.#release(id, shared) };
    } catch (error) {
      shared.readerCount--;
      if (this.#shared.get(id) === shared) this.#shared.delete(id);
      throw error;
    }
  }

  async #release(id: string, shared: Shared): Promise<void> {
    if (--shared.readerCount > 0) return;
    this.#shared.delete(id);
    const files = await shared.files;
    this.hot.forget(files);
    await closeCheckpointFiles(files);
  }
}
