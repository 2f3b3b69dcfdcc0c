/**
 * Writes and reads the working-set file. It is only a copy: without it, or with a damaged one, the same
 * pages come from where they lie.
 */
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { MIB } from '../../platform/units.ts';
import { xxh64At } from '../../platform/xxhash.ts';
import type { CheckpointFiles } from './checkpoint-files.ts';
import type { WorkingSetRun } from './contract.ts';
import { replaceFile, writeFully } from './durable.ts';
import { PAGE_BYTES } from './limits.ts';
import { WORKING_SET } from './names.ts';
import { readPagesInto } from './page-reads.ts';
import {
  decodeWorkingSetHeader,
  decodeWorkingSetRuns,
  encodeWorkingSetTable,
  type TaskRun,
  WORKING_SET_HEADER_BYTES,
  workingSetTableBytes,
} from './working-set-format.ts';

/** What is read at once, twice: one block is looked at while the next one comes. */
const BLOCK_BYTES = MIB;
const BLOCK_PAGES = BLOCK_BYTES / PAGE_BYTES;

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

/** undefined when there is none that can be used. @param onDamage told of runs that are read from elsewhere */
export async function openWorkingSet(
  files: CheckpointFiles,
  onDamage: (run: TaskRun) => void = () => {},
): Promise<AsyncGenerator<WorkingSetRun, void, void> | undefined> {
  const runs = await readTable(files).catch(() => undefined);
  return runs === undefined ? undefined : readRuns(files, runs, onDamage);
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

async function* readRuns(
  files: CheckpointFiles,
  runs: readonly TaskRun[],
  onDamage: (run: TaskRun) => void,
): AsyncGenerator<WorkingSetRun, void, void> {
  // Opened when the first run is asked for: whoever never asks leaves nothing open.
  const file = await files.fs.open(join(files.directory, WORKING_SET), 'r');
  // Through the page cache: with its readahead a cold file came in two thirds of the time O_DIRECT took
  // (24 MiB: 15 ms and 22 ms; 256 MiB: 145 ms and 275 ms), and whoever reads it next profits.
  const blocks = [Buffer.allocUnsafeSlow(BLOCK_BYTES), Buffer.allocUnsafeSlow(BLOCK_BYTES)] as const;
  const read = (block: Buffer, position: number) =>
    file.read(block, 0, BLOCK_BYTES, position).then(
      ({ bytesRead }) => bytesRead,
      () => 0, // what has not come is read from where it lies
    );
  let position = workingSetTableBytes(runs.length);
  let turn = 0;
  let pending = read(blocks[0], position);
  try {
    for (const group of groupByBlock(runs)) {
      const block = blocks[turn === 0 ? 0 : 1];
      const bytesRead = await pending;
      position += group.bytes;
      turn ^= 1;
      pending = read(blocks[turn === 0 ? 0 : 1], position);
      let offset = 0;
      for (const { task, vaddr, pageCount } of group.runs) {
        const target = { kind: 'task', id: task } as const;
        const end = offset + pageCount * PAGE_BYTES;
        if (end > bytesRead || !isRight(files, block, offset, { task, vaddr, pageCount })) {
          onDamage({ task, vaddr, pageCount });
          await readPagesInto(files, { target, vaddr, pageCount, into: block, offset });
        }
        yield { target, vaddr, pageCount, pages: block.subarray(offset, end) };
        offset = end;
      }
    }
  } finally {
    await pending;
    await file.close();
  }
}

/** As they were written: a run is never cut by a block's end. */
function* groupByBlock(runs: readonly TaskRun[]): Generator<{ runs: TaskRun[]; bytes: number }> {
  let group: { runs: TaskRun[]; bytes: number } = { runs: [], bytes: 0 };
  for (const run of runs) {
    const bytes = run.pageCount * PAGE_BYTES;
    if (group.bytes + bytes > BLOCK_BYTES) {
      yield group;
      group = { runs: [], bytes: 0 };
    }
    group.runs.push(run);
    group.bytes += bytes;
  }
  if (group.bytes > 0) yield group;
}

function isRight(files: CheckpointFiles, block: Buffer, offset: number, run: TaskRun): boolean {
  let at = offset;
  const target = { kind: 'task', id: run.task } as const;
  for (const piece of files.lookup.pieces(target, run.vaddr, run.pageCount)) {
    for (let i = 0; i < piece.pageCount; i++, at += PAGE_BYTES) {
      if (piece.zero || xxh64At(block, at, PAGE_BYTES) !== files.checksums[piece.storedPage + i])
        return false;
    }
  }
  return true;
}
