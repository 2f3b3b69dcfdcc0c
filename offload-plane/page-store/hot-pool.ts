/** Working sets in memory, all together within a bound: the one that was asked for first goes first. */
import { MIB } from '../../platform/units.ts';
import type { CheckpointFiles } from './checkpoint-files.ts';
import { HotPages } from './hot-pages.ts';
import { PAGE_BYTES } from './limits.ts';
import { openWorkingSet } from './working-set.ts';

const MAX_BYTES = 256 * MIB;

export class HotPool {
  /** In the order in which they were asked for last. */
  readonly #loads = new Map<CheckpointFiles, Promise<boolean>>();

  /** Loads a checkpoint's working set once for all its readers; false when it has none. Never throws. */
  load(files: CheckpointFiles): Promise<boolean> {
    const known = this.#loads.get(files);
    this.#loads.delete(files);
    const load = known ?? this.#load(files);
    this.#loads.set(files, load);
    return load;
  }

  forget(files: CheckpointFiles): void {
    this.#loads.delete(files);
    files.hotPages?.end();
    files.hotPages = undefined;
  }

  async #load(files: CheckpointFiles): Promise<boolean> {
    const hot = new HotPages();
    files.hotPages = hot; // in use while it fills
    try {
      const set = await openWorkingSet(files);
      if (set === undefined) return false;
      // What is past the bound is read from the files.
      hot.announce(files.index.storedPageCount, set.pages.subarray(0, MAX_BYTES / PAGE_BYTES));
      for await (const block of set.blocks()) {
        if (hot.ended || hot.bytes >= MAX_BYTES) break;
        hot.add(block);
        this.#makeRoom(files);
      }
    } catch {
      // the read that needs the page reports what is wrong with it
    } finally {
      hot.end();
    }
    return true;
  }

  #makeRoom(except: CheckpointFiles): void {
    for (const files of this.#loads.keys()) {
      if (this.#bytes() <= MAX_BYTES) return;
      if (files !== except) this.forget(files);
    }
  }

  #bytes(): number {
    let bytes = 0;
    for (const files of this.#loads.keys()) bytes += files.hotPages?.bytes ?? 0;
    return bytes;
  }
}
