/**
 * Checkpoints that are open: all readers of one share its files. After the last reader they stay open for a
 * while, so that the next restore of the same checkpoint begins with all of it in memory.
 */
import { type CheckpointFiles, closeCheckpointFiles, manifestStamp } from './checkpoint-files.ts';
import { HotPool } from './hot-pool.ts';

interface Shared {
  opening: Promise<CheckpointFiles>;
  readerCount: number;
}

export class OpenCheckpoints {
  /** Working sets in memory, of whatever is open. */
  readonly hot = new HotPool();
  readonly #open: (id: string) => Promise<CheckpointFiles>;
  readonly #keepOpenCount: number;
  readonly #shared = new Map<string, Shared>();
  /** Without a reader; whoever was read last is at the end. */
  readonly #idle = new Map<string, CheckpointFiles>();

  constructor(open: (id: string) => Promise<CheckpointFiles>, keepOpenCount: number) {
    this.#open = open;
    this.#keepOpenCount = keepOpenCount;
  }

  /** Whether it has a reader. */
  has(id: string): boolean {
    return this.#shared.has(id);
  }

  /** From the call on `has` is true, until `release`. */
  async acquire(id: string): Promise<{ files: CheckpointFiles; release(): Promise<void> }> {
    const shared = this.#shared.get(id) ?? { opening: this.#reopen(id), readerCount: 0 };
    this.#shared.set(id, shared);
    shared.readerCount++;
    try {
      const files = await shared.opening;
      return { files, release: () => this.#release(id, shared, files) };
    } catch (error) {
      shared.readerCount--;
      if (this.#shared.get(id) === shared) this.#shared.delete(id);
      throw error;
    }
  }

  /** Closes what nobody reads, down to so many; what was read last stays. */
  async trim(keepCount = 0): Promise<void> {
    const leaving = [...this.#idle.keys()].slice(0, Math.max(0, this.#idle.size - keepCount));
    await Promise.all(leaving.map((id) => this.drop(id)));
  }

  /** Closes a checkpoint that nobody reads: one that is about to go. */
  async drop(id: string): Promise<void> {
    const files = this.#idle.get(id);
    this.#idle.delete(id);
    if (files !== undefined) await this.#close(files);
  }

  async #reopen(id: string): Promise<CheckpointFiles> {
    const idle = this.#idle.get(id);
    this.#idle.delete(id);
    if (idle !== undefined) {
      // One that was replaced or damaged meanwhile is read anew, and refused where that is due.
      if ((await manifestStamp(idle.fs, idle.directory)) === idle.stamp) return idle;
      await this.#close(idle);
    }
    return await this.#open(id);
  }

  async #release(id: string, shared: Shared, files: CheckpointFiles): Promise<void> {
    if (--shared.readerCount > 0) return;
    this.#shared.delete(id);
    this.#idle.set(id, files);
    await this.trim(this.#keepOpenCount);
  }

  async #close(files: CheckpointFiles): Promise<void> {
    this.hot.forget(files);
    await closeCheckpointFiles(files);
  }
}
