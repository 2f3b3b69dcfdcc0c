/** Working sets in memory, all together within a bound: the one that was asked for first goes first. */
import { MIB } from '../../platform/units.ts';
import type { CheckpointFiles } from './checkpoint-files.ts';
import { HotPages } from './hot-pages.ts';
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
    files.hotPages = undefined;
  }

  async #load(files: CheckpointFiles): Promise<boolean> {
    const runs = await openWorkingSet(files);
    if (runs === undefined) return false;
    const hot = new HotPages(files.index.storedPageCount, MAX_BYTES);
    files.hotPages = hot; // in use while it fills
    try {
      for await (const run of runs) {
        if (files.hotPages !== hot || !hot.add(files, run)) break;
        this.#makeRoom(files);
      }
    } catch {
      // the read that needs the page reports what is wrong with it
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
