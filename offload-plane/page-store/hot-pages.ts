/**
 * Pages of a working set in memory, verified once, for every reader of the checkpoint: several restores at
 * once read and hash them a single time.
 */
import { MIB } from '../../platform/units.ts';
import type { CheckpointFiles } from './checkpoint-files.ts';
import type { WorkingSetRun } from './contract.ts';
import { PAGE_BYTES } from './limits.ts';

const CHUNK_BYTES = MIB;

export class HotPages {
  /** By stored page: its slot and 1, or 0. */
  readonly #slots: Uint32Array;
  readonly #chunks: Buffer[] = [];
  readonly #maxBytes: number;
  #count = 0;

  /** @param maxBytes what is past it is read from the files */
  constructor(storedPageCount: number, maxBytes: number) {
    this.#slots = new Uint32Array(storedPageCount);
    this.#maxBytes = maxBytes;
  }

  get bytes(): number {
    return this.#count * PAGE_BYTES;
  }

  /** Takes a verified run; false when there is no room for more. */
  add(files: CheckpointFiles, run: WorkingSetRun): boolean {
    let offset = 0;
    for (const piece of files.lookup.pieces(run.target, run.vaddr, run.pageCount)) {
      for (let i = 0; i < piece.pageCount; i++, offset += PAGE_BYTES) {
        if (piece.zero || this.#slots[piece.storedPage + i] !== 0) continue;
        if (this.bytes >= this.#maxBytes) return false;
        const at = (this.#count * PAGE_BYTES) % CHUNK_BYTES;
        if (at === 0) this.#chunks.push(Buffer.allocUnsafeSlow(CHUNK_BYTES));
        run.pages.copy(this.#chunks.at(-1)!, at, offset, offset + PAGE_BYTES);
        this.#slots[piece.storedPage + i] = ++this.#count;
      }
    }
    return true;
  }

  /** Copies a run when all of it is here. */
  copy(storedPage: number, pageCount: number, into: Buffer, offset: number): boolean {
    for (let i = 0; i < pageCount; i++) if (this.#slots[storedPage + i] === 0) return false;
    for (let i = 0; i < pageCount; i++) {
      const from = (this.#slots[storedPage + i]! - 1) * PAGE_BYTES;
      const at = from % CHUNK_BYTES;
      this.#chunks[(from - at) / CHUNK_BYTES]!.copy(into, offset + i * PAGE_BYTES, at, at + PAGE_BYTES);
    }
    return true;
  }
}
