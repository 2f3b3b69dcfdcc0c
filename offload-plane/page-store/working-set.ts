/**
 * Writes and reads the working-set file. It is only a copy: without it, or with a damaged one, the same
 * pages come from where they lie.
 */
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { MIB } from '../../platform/units.ts';
import type { CheckpointFiles } from './checkpoint-files.ts';
import type { WorkingSet } from './contract.ts';
import { replaceFile, writeFully } from './durable.ts';
import { PAGE_BYTES } from './limits.ts';
import { WORKING_SET } from './names.ts';
import { isRight, readPagesInto, readStoredPages, verifyStoredPage } from './page-reads.ts';
import {
  decodeWorkingSetHeader,
  decodeWorkingSetRuns,
  encodeWorkingSetTable,
  type TaskRun,
  WORKING_SET_HEADER_BYTES,
  workingSetTableBytes,
} from './working-set-format.ts';

/** What is read at once: one block is looked at while the next one comes. */
const BLOCK_BYTES = MIB;
export const BLOCK_PAGES = BLOCK_BYTES / PAGE_BYTES;

/** The runs without pages that are zero, in pieces that fit a block. */
export function storedRuns(files: CheckpointFiles, runs: readonly TaskRun[]): TaskRun[] {
  const stored: TaskRun[] = [];
  for (const { task, vaddr, pageCount } of runs) {
    let at = vaddr;
    for (const piece of files.lookup.pieces({ kind: 'task', id: task }, vaddr, pageCount)) {
      for (let done = 0; !piece.zero && done < piece.pageCount; done += BLOCK_PAGES) {
        const count = Math.min(BLOCK_PAGES, piece.pageCount - done);
        stored.push({ task, vaddr: at + BigInt(done * PAGE_BYTES), pageCount: count });
      }
      at += BigInt(piece.pageCount * PAGE_BYTES);
    }
  }
  return stored;
}

export const workingSetBytes = (runs: readonly TaskRun[]): number =>
  workingSetTableBytes(runs.length) + runs.reduce((sum, run) => sum + run.pageCount, 0) * PAGE_BYTES;

/** @param runs as `storedRuns` gives them */
export async function writeWorkingSet(files: CheckpointFiles, runs: readonly TaskRun[]): Promise<void> {
  await replaceFile(files.fs, join(files.directory, WORKING_SET), async (file) => {
    const table = encodeWorkingSetTable(files.manifest.digest, runs);
    await writeFully(file, table, 0);
    let position = table.length;
    const block = Buffer.allocUnsafeSlow(BLOCK_BYTES);
    let filled = 0;
    const flush = async () => {
      await writeFully(file, block.subarray(0, filled), position);
      position += filled;
      filled = 0;
    };
    for (const { task, vaddr, pageCount } of runs) {
      if (filled + pageCount * PAGE_BYTES > BLOCK_BYTES) await flush();
      const target = { kind: 'task', id: task } as const;
      await readPagesInto(files, { target, vaddr, pageCount, into: block, offset: filled });
      filled += pageCount * PAGE_BYTES;
    }
    await flush();
  });
}

/** undefined when there is none that can be used. @param onDamage told of pages that are read from elsewhere */
export async function openWorkingSet(
  files: CheckpointFiles,
  onDamage: (storedPage: number) => void = () => {},
): Promise<WorkingSet | undefined> {
  const runs = await readTable(files).catch(() => undefined);
  const pages = runs && storedPagesOf(files, runs);
  if (runs === undefined || pages === undefined) return undefined;
  const position = workingSetTableBytes(runs.length);
  return { pages, blocks: () => readBlocks(files, pages, position, onDamage) };
}

/** undefined when one of them is not stored. */
function storedPagesOf(files: CheckpointFiles, runs: readonly TaskRun[]): Uint32Array | undefined {
  const pages = new Uint32Array(runs.reduce((sum, { pageCount }) => sum + pageCount, 0));
  let at = 0;
  try {
    for (const { task, vaddr, pageCount } of runs) {
      for (const piece of files.lookup.pieces({ kind: 'task', id: task }, vaddr, pageCount)) {
        if (piece.zero) return undefined;
        for (let i = 0; i < piece.pageCount; i++) pages[at++] = piece.storedPage + i;
      }
    }
  } catch {
    return undefined;
  }
  return pages;
}

/** Fails when there is none. */
async function readTable(files: CheckpointFiles): Promise<TaskRun[] | undefined> {
  const file = await files.fs.open(join(files.directory, WORKING_SET), 'r');
  try {
    return await decodeTable(file, files.manifest.digest);
  } finally {
    await file.close();
  }
}

async function decodeTable(file: FileHandle, digest: string): Promise<TaskRun[] | undefined> {
  const header = Buffer.alloc(WORKING_SET_HEADER_BYTES);
  await file.read(header, 0, header.length, 0);
  const runCount = decodeWorkingSetHeader(header, digest);
  if (runCount === undefined) return undefined;
  const table = Buffer.alloc(workingSetTableBytes(runCount));
  await file.read(table, 0, table.length, 0);
  return decodeWorkingSetRuns(table, runCount);
}

async function* readBlocks(
  files: CheckpointFiles,
  pages: Uint32Array,
  position: number,
  onDamage: (storedPage: number) => void,
): AsyncGenerator<Buffer, void, void> {
  // Opened when the first block is asked for: whoever never asks leaves nothing open.
  const file = await files.fs.open(join(files.directory, WORKING_SET), 'r');
  // Through the page cache: with its readahead a cold file came in two thirds of the time O_DIRECT took
  // (24 MiB: 15 ms and 22 ms; 256 MiB: 145 ms and 275 ms), and whoever reads it next profits.
  const read = (first: number) => {
    const block = Buffer.allocUnsafeSlow(Math.min(BLOCK_PAGES, pages.length - first) * PAGE_BYTES);
    return file.read(block, 0, block.length, position + first * PAGE_BYTES).then(
      ({ bytesRead }) => ({ block, bytesRead }),
      () => ({ block, bytesRead: 0 }), // what has not come is read from where it lies
    );
  };
  let pending = read(0);
  try {
    for (let first = 0; first < pages.length; first += BLOCK_PAGES) {
      const { block, bytesRead } = await pending;
      if (first + BLOCK_PAGES < pages.length) pending = read(first + BLOCK_PAGES);
      for (let offset = 0; offset < block.length; offset += PAGE_BYTES) {
        const page = pages[first + offset / PAGE_BYTES]!;
        if (offset + PAGE_BYTES <= bytesRead && isRight(files, page, block, offset)) continue;
        onDamage(page);
        await readStoredPages(files, page, 1, block, offset);
        verifyStoredPage(files, page, block, offset);
      }
      yield block;
    }
  } finally {
    await pending;
    await file.close();
  }
}
