/**
 * Pages that a checkpoint takes over from its parent. They are noted while pages arrive and resolved at the
 * commit: what the child refers to afterwards is files, never the parent, so there is no chain to follow.
 */
import { OffloadError } from '../../platform/errors.ts';
import type { CheckpointFiles } from './checkpoint-files.ts';
import type { PageTarget, Segment, TargetRange } from './contract.ts';
import { targetKey } from './index-format.ts';
import { MAX_APPEND_BYTES, PAGE_BYTES } from './limits.ts';
import { locatePages, type Origin } from './origins.ts';
import type { PageAppender } from './page-appender.ts';
import { readPagesInto } from './page-reads.ts';
import type { FileNumbers, SharedFiles } from './shared-files.ts';

const COPY_PAGES = MAX_APPEND_BYTES / PAGE_BYTES;

export interface InheritanceOptions {
  parent: CheckpointFiles;
  numbers: FileNumbers;
  shared: SharedFiles;
  mode: 'rest' | 'named';
  maxRangeCount: number;
}

export class Inheritance {
  readonly parentId: string;
  readonly #options: InheritanceOptions;
  readonly #named: TargetRange[] = [];
  readonly #removed: TargetRange[] = [];
  readonly #targets: Set<string>;
  #namedPageCount = 0;

  constructor(options: InheritanceOptions) {
    this.#options = options;
    this.parentId = options.parent.manifest.id;
    this.#targets = new Set(options.parent.index.targets.map(targetKey));
  }

  has(target: PageTarget): boolean {
    return this.#targets.has(targetKey(target));
  }

  /** @throws {OffloadError} page_protocol_violation when the parent lacks one of them, or has not so many */
  inherit(range: TargetRange): void {
    this.#assertBounded(this.#named);
    const { pageCount } = this.#options.parent.manifest;
    this.#namedPageCount += range.pageCount;
    if (this.#namedPageCount > pageCount) {
      throw new OffloadError(
        'page_protocol_violation',
        `inherit pages: more than the ${pageCount} pages of the parent`,
      );
    }
    try {
      this.#options.parent.lookup.pieces(range.target, range.vaddr, range.pageCount);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new OffloadError('page_protocol_violation', `inherit pages: ${reason}`, { cause: error });
    }
    this.#named.push(range);
  }

  remove(range: TargetRange): void {
    this.#assertBounded(this.#removed);
    this.#removed.push(range);
  }

  /** Adds every inherited page to what `appender` has. */
  async resolve(appender: PageAppender): Promise<void> {
    const { parent, mode } = this.#options;
    const ranges = [...this.#named];
    if (mode === 'rest') {
      for (const target of parent.index.targets) appender.addTarget(target);
      const given = appender.segments.map((s) => ({ target: s, vaddr: s.vaddr, pageCount: s.pageCount }));
      ranges.push(...subtractRanges(parent.index.segments, [...given, ...this.#removed, ...this.#named]));
    }
    for (const range of ranges) await this.#add(appender, range);
  }

  async #add(appender: PageAppender, { target, vaddr, pageCount }: TargetRange): Promise<void> {
    const { parent } = this.#options;
    let at = vaddr;
    for (const piece of parent.lookup.pieces(target, vaddr, pageCount)) {
      const { lazy } = parent.lookup.find(target, at)!;
      const run = { target, vaddr: at, lazy, pageCount: piece.pageCount };
      if (piece.zero) appender.addZero(run);
      else {
        const parts = this.#partsOf(piece.storedPage, piece.pageCount);
        if (parts === undefined) await this.#copy(appender, run);
        else {
          const end = piece.storedPage + piece.pageCount;
          appender.addElsewhere(run, parent.checksums.subarray(piece.storedPage, end), parts);
        }
      }
      at += BigInt(piece.pageCount * PAGE_BYTES);
    }
  }

  /** undefined when one of the files cannot be shared. */
  #partsOf(storedPage: number, pageCount: number): Origin[] | undefined {
    const { parent, numbers, shared } = this.#options;
    const parts: Origin[] = [];
    for (const part of locatePages(parent.index.origins, storedPage, pageCount)) {
      const file = numbers.get(part.file);
      if (file === undefined || !shared.use(file)) return undefined;
      parts.push({ ...part, file });
    }
    return parts;
  }

  async #copy(
    appender: PageAppender,
    run: { target: PageTarget; vaddr: bigint; lazy: boolean; pageCount: number },
  ): Promise<void> {
    const into = Buffer.allocUnsafe(Math.min(COPY_PAGES, run.pageCount) * PAGE_BYTES);
    for (let done = 0; done < run.pageCount; done += COPY_PAGES) {
      const pageCount = Math.min(COPY_PAGES, run.pageCount - done);
      const vaddr = run.vaddr + BigInt(done * PAGE_BYTES);
      await readPagesInto(this.#options.parent, { target: run.target, vaddr, pageCount, into, offset: 0 });
      await appender.add(run.target, vaddr, run.lazy, into.subarray(0, pageCount * PAGE_BYTES));
    }
  }

  #assertBounded(ranges: readonly TargetRange[]): void {
    const { maxRangeCount } = this.#options;
    if (ranges.length < maxRangeCount) return;
    throw new OffloadError('page_protocol_violation', `inherit pages: more than ${maxRangeCount} ranges`);
  }
}

/** What of `segments` (sorted) is in none of `ranges`. */
function subtractRanges(segments: readonly Segment[], ranges: readonly TargetRange[]): TargetRange[] {
  const byTarget = Map.groupBy(ranges, ({ target }) => targetKey(target));
  for (const list of byTarget.values()) list.sort((a, b) => (a.vaddr < b.vaddr ? -1 : 1));
  const left: TargetRange[] = [];
  const positions = new Map<string, number>();
  for (const segment of segments) {
    const key = targetKey(segment);
    const taken = byTarget.get(key) ?? [];
    const end = segment.vaddr + BigInt(segment.pageCount * PAGE_BYTES);
    const keep = (from: bigint, to: bigint) => {
      const pageCount = Number((to - from) / BigInt(PAGE_BYTES));
      const target = { kind: segment.kind, id: segment.id };
      if (pageCount > 0) left.push({ target, vaddr: from, pageCount });
    };
    let at = segment.vaddr;
    let i = positions.get(key) ?? 0;
    for (; i < taken.length; i++) {
      const range = taken[i]!;
      const rangeEnd = range.vaddr + BigInt(range.pageCount * PAGE_BYTES);
      if (range.vaddr >= end) break;
      keep(at, range.vaddr);
      if (rangeEnd > at) at = rangeEnd;
      if (at >= end) break; // the range may reach into the next segment
    }
    positions.set(key, i);
    keep(at, end);
  }
  return left;
}
