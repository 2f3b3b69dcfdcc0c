/**
 * Finds pages that earlier checkpoints of the same tenant have. A checksum only says where to look: a page
 * is known when its bytes are the same. So neither chance nor a guest that makes pages with equal checksums
 * can have it take one page for another; the worst is a page that is stored twice.
 */
import type { CheckpointFiles } from './checkpoint-files.ts';
import { PAGE_BYTES } from './limits.ts';
import { locatePages, type Origin } from './origins.ts';
import { readStoredPagesSync } from './page-reads.ts';
import { ReadAhead } from './read-ahead.ts';
import type { FileNumbers, SharedFiles } from './shared-files.ts';

export interface KnownCheckpoint {
  files: CheckpointFiles;
  numbers: FileNumbers;
}

interface Source {
  known: KnownCheckpoint;
  firstEntry: number;
  words: Uint32Array;
  ahead: ReadAhead;
}

export interface KnownRun {
  pageCount: number;
  /** Where the pages lie, in the numbers of the checkpoint being written. */
  parts: Origin[];
}

/** Compared at once; the read is mostly answered from the page cache, as it goes on in file order. */
const MAX_RUN_PAGES = 64;
/** Whoever crafts checksums to fall on one slot loses sharing, not our time. */
const MAX_PROBES = 16;

export class KnownPages {
  readonly #checkpoints: Source[] = [];
  readonly #slots: Uint32Array;
  readonly #shared: SharedFiles;
  readonly #scratch = Buffer.allocUnsafeSlow(MAX_RUN_PAGES * PAGE_BYTES);
  #next: { checkpoint: number; page: number } | undefined;

  /** @param checkpoints those to prefer first */
  constructor(checkpoints: readonly KnownCheckpoint[], shared: SharedFiles) {
    this.#shared = shared;
    const pageCount = checkpoints.reduce((sum, { files }) => sum + files.checksums.length, 0);
    this.#slots = new Uint32Array(2 ** Math.ceil(Math.log2(Math.max(16, pageCount * 2))));
    let firstEntry = 1; // an empty slot is 0
    for (const known of checkpoints) {
      const { checksums } = known.files;
      const words = wordsOf(checksums);
      this.#checkpoints.push({ known, firstEntry, words, ahead: new ReadAhead(known.files) });
      for (let page = 0; page < checksums.length; page++) this.#insert(words, page, firstEntry + page);
      firstEntry += checksums.length;
    }
  }

  /** The longest known run that begins with page `index` of `digests`, whose bytes are at `offset`. */
  find(digests: BigUint64Array, index: number, pages: Buffer, offset: number): KnownRun | undefined {
    const words = wordsOf(digests);
    const found = this.#follows(words, index) ?? this.#lookUp(words, index);
    this.#next = undefined;
    if (found === undefined) return undefined;
    const run = this.#compare(found, words, index, pages, offset);
    if (run === undefined) return undefined;
    this.#next = { ...found, page: found.page + run.pageCount };
    this.#checkpoints[found.checkpoint]!.ahead.reached(this.#next.page);
    return run;
  }

  /** Before the checkpoints' files are closed. */
  async settle(): Promise<void> {
    await Promise.all(this.#checkpoints.map(({ ahead }) => ahead.settle()));
  }

  /** Most pages follow on: the one after the last that was found. */
  #follows(words: Uint32Array, index: number) {
    if (this.#next === undefined) return undefined;
    const { checkpoint, page } = this.#next;
    return sameDigest(this.#checkpoints[checkpoint]!.words, page, words, index) ? this.#next : undefined;
  }

  #compare(
    { checkpoint, page }: { checkpoint: number; page: number },
    words: Uint32Array,
    index: number,
    pages: Buffer,
    offset: number,
  ): KnownRun | undefined {
    const { known, words: theirs } = this.#checkpoints[checkpoint]!;
    let count = 1;
    while (count < MAX_RUN_PAGES && sameDigest(theirs, page + count, words, index + count)) count++;
    try {
      readStoredPagesSync(known.files, page, count, this.#scratch, 0);
    } catch {
      return undefined; // it cannot be relied on, so the page is stored again
    }
    let same = 0;
    while (same < count && samePage(pages, offset + same * PAGE_BYTES, this.#scratch, same * PAGE_BYTES))
      same++;
    const parts = this.#usable(known, page, same);
    const pageCount = parts.reduce((sum, part) => sum + part.pageCount, 0);
    return pageCount > 0 ? { pageCount, parts } : undefined;
  }

  /** The parts up to the first in a file that cannot be used. */
  #usable({ files, numbers }: KnownCheckpoint, page: number, pageCount: number): Origin[] {
    const parts: Origin[] = [];
    if (pageCount === 0) return parts;
    for (const part of locatePages(files.index.origins, page, pageCount)) {
      const file = numbers.get(part.file);
      if (file === undefined || !this.#shared.use(file)) break;
      parts.push({ ...part, file });
    }
    return parts;
  }

  #insert(words: Uint32Array, page: number, entry: number): void {
    const mask = this.#slots.length - 1;
    for (
      let probe = 0, slot = words[page * 2]! & mask;
      probe < MAX_PROBES;
      probe++, slot = (slot + 1) & mask
    ) {
      const taken = this.#slots[slot]!;
      if (taken === 0) {
        this.#slots[slot] = entry;
        return;
      }
      const other = this.#entry(taken);
      if (sameDigest(this.#checkpoints[other.checkpoint]!.words, other.page, words, page)) return;
    }
  }

  #lookUp(words: Uint32Array, index: number): { checkpoint: number; page: number } | undefined {
    const mask = this.#slots.length - 1;
    for (
      let probe = 0, slot = words[index * 2]! & mask;
      probe < MAX_PROBES;
      probe++, slot = (slot + 1) & mask
    ) {
      const taken = this.#slots[slot]!;
      if (taken === 0) return undefined;
      const found = this.#entry(taken);
      if (sameDigest(this.#checkpoints[found.checkpoint]!.words, found.page, words, index)) return found;
    }
    return undefined;
  }

  #entry(entry: number): { checkpoint: number; page: number } {
    let checkpoint = this.#checkpoints.length - 1;
    while (this.#checkpoints[checkpoint]!.firstEntry > entry) checkpoint--;
    return { checkpoint, page: entry - this.#checkpoints[checkpoint]!.firstEntry };
  }
}

/** Digests as pairs of 32 bits: no bigint has to be made to compare them. */
const wordsOf = (digests: BigUint64Array): Uint32Array =>
  new Uint32Array(digests.buffer, digests.byteOffset, digests.length * 2);

/** false past the end of either. */
function sameDigest(a: Uint32Array, pageA: number, b: Uint32Array, pageB: number): boolean {
  return (
    pageA * 2 < a.length &&
    pageB * 2 < b.length &&
    a[pageA * 2] === b[pageB * 2] &&
    a[pageA * 2 + 1] === b[pageB * 2 + 1]
  );
}

function samePage(a: Buffer, offsetA: number, b: Buffer, offsetB: number): boolean {
  return a.compare(b, offsetB, offsetB + PAGE_BYTES, offsetA, offsetA + PAGE_BYTES) === 0;
}
