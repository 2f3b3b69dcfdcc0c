/** Pages of an imported checkpoint: pagemaps tell where the pages that follow belong. */
import { imageEntries } from '../../criu-images/image-file.ts';
import { PagemapEntry, PagemapHead } from '../../criu-images/messages.ts';
import { decodeMessage, type Message } from '../../criu-images/wire.ts';
import { PagemapFlag } from '../../page-server/criu-wire.ts';
import type { CheckpointWriter, PageTarget } from '../../page-store/contract.ts';
import { MAX_APPEND_BYTES, PAGE_BYTES } from '../../page-store/limits.ts';
import { invalidTransfer } from './invalid.ts';

const PAGEMAP = /^pagemap-(shmem-)?(\d{1,16})\.img$/;
/** Of all pagemaps together: they are held until their pages come. */
const MAX_RUNS = 1 << 20;
const PAGES = /^pages-(\d{1,10})\.img$/;

interface Expected {
  target: PageTarget;
  runs: { vaddr: bigint; pageCount: number; lazy: boolean }[];
}

export function createPageImport(writer: CheckpointWriter) {
  /** By the number of the file that the pages come in. */
  const expected = new Map<number, Expected>();
  let runCount = 0;

  async function addRun(
    target: PageTarget,
    run: Expected['runs'][number],
    source: ByteSource,
  ): Promise<void> {
    for (let done = 0; done < run.pageCount; ) {
      const count = Math.min(run.pageCount - done, MAX_APPEND_BYTES / PAGE_BYTES);
      const pages = await source.take(count * PAGE_BYTES);
      await writer.addPages(target, run.vaddr + BigInt(done * PAGE_BYTES), run.lazy, pages);
      done += count;
    }
  }

  return {
    isPagemap: (name: string): boolean => PAGEMAP.test(name),
    isPages: (name: string): boolean => PAGES.test(name),
    /** @throws {OffloadError} invalid_checkpoint */
    takePagemap(name: string, image: Buffer): void {
      const [, shmem, id] = PAGEMAP.exec(name)!;
      const target: PageTarget = { kind: shmem === undefined ? 'task' : 'shmem', id: Number(id) };
      const [head, ...entries] = imageEntries(name, 'pagemap', image);
      if (head === undefined) throw invalidTransfer(name, 'has no head');
      const { pagesId, runs } = decode(name, head, entries);
      runCount += runs.length;
      if (runCount > MAX_RUNS)
        throw invalidTransfer(name, `is one too many: more than ${MAX_RUNS} runs of pages`);
      if (expected.has(pagesId))
        throw invalidTransfer(name, `names pages-${pagesId}.img, as another one does`);
      writer.addTarget(target);
      expected.set(pagesId, { target, runs });
    },
    /** @throws {OffloadError} invalid_checkpoint, no_space, page_protocol_violation */
    async takePages(name: string, bytes: number, source: AsyncIterable<Buffer>): Promise<void> {
      const pagesId = Number(PAGES.exec(name)![1]);
      const known = expected.get(pagesId);
      if (known === undefined) throw invalidTransfer(name, 'comes before a pagemap that names it');
      expected.delete(pagesId);
      const expectedBytes = known.runs.reduce((sum, { pageCount }) => sum + pageCount * PAGE_BYTES, 0);
      if (bytes !== expectedBytes) {
        throw invalidTransfer(name, `has ${bytes} bytes, its pagemap wants ${expectedBytes} bytes`);
      }
      const reading = byteSource(name, source);
      for (const run of known.runs) await addRun(known.target, run, reading);
      await reading.end();
    },
    /** @throws {OffloadError} invalid_checkpoint: pages that a pagemap named did not come */
    finish(): void {
      for (const [pagesId, { runs }] of expected) {
        if (runs.length > 0) throw invalidTransfer(`pages-${pagesId}.img`, 'is missing');
      }
    },
  };
}

function decode(name: string, head: Buffer, entries: readonly Buffer[]) {
  try {
    const { pagesId } = decodeMessage(PagemapHead, head);
    return { pagesId, runs: entries.map((entry) => runOf(name, decodeMessage(PagemapEntry, entry))) };
  } catch (error) {
    throw invalidTransfer(name, (error as Error).message);
  }
}

function runOf(name: string, entry: Message<typeof PagemapEntry>): Expected['runs'][number] {
  const { vaddr, flags, inParent } = entry;
  const pageCount = Number(entry.pageCount) || entry.compatiblePageCount;
  if (inParent || (flags & PagemapFlag.PARENT) !== 0) {
    throw invalidTransfer(name, 'refers to pages of an earlier dump, which is not in it');
  }
  // Without the flags (CRIU before 2.10) every page is there.
  if (flags !== 0 && (flags & PagemapFlag.PRESENT) === 0) throw invalidTransfer(name, 'lacks pages');
  if (pageCount < 1 || !Number.isSafeInteger(pageCount * PAGE_BYTES)) {
    throw invalidTransfer(name, `has a run of ${pageCount} pages`);
  }
  return { vaddr, pageCount, lazy: (flags & PagemapFlag.LAZY) !== 0 };
}

interface ByteSource {
  take(bytes: number): Promise<Buffer>;
  end(): Promise<void>;
}

/** Gives pieces of the length asked for; holds one chunk and one piece. */
function byteSource(name: string, source: AsyncIterable<Buffer>): ByteSource {
  const iterator = source[Symbol.asyncIterator]();
  let rest: Buffer = Buffer.alloc(0);
  const next = async (): Promise<boolean> => {
    const { value, done } = await iterator.next();
    if (done !== true) rest = value;
    return done !== true;
  };
  return {
    async take(bytes) {
      const piece = Buffer.allocUnsafe(bytes);
      for (let filled = 0; filled < bytes; ) {
        if (rest.length === 0 && !(await next())) throw invalidTransfer(name, 'ends early');
        const copied = rest.copy(piece, filled);
        filled += copied;
        rest = rest.subarray(copied);
      }
      return piece;
    },
    async end() {
      while (rest.length === 0 && (await next()));
      if (rest.length > 0) throw invalidTransfer(name, 'has more pages than its pagemap');
    },
  };
}
