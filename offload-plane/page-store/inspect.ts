/** What a store holds, read from its directory alone: beside a plane that has it open, without touching it. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { OffloadError } from '../../platform/errors.ts';
import { readManifest } from './checkpoint-files.ts';
import { realFileSystem } from './file-system.ts';
import { measureDirectory } from './ledger.ts';
import { CHECKPOINTS, ORDER } from './names.ts';
import { readUsage } from './usage.ts';

export interface StoreEntry {
  id: string;
  createdAt?: string;
  lastUsedAt: string;
  pinned: boolean;
  tenant?: string;
  parent?: string;
  pageCount?: number;
  zeroPageCount?: number;
  sharedPageCount?: number;
  /** Every file, those that it shares with others included. */
  bytes: number;
  hasOrderLog: boolean;
  /** Why it cannot be opened. */
  problem?: string;
}

/** Checkpoints, the one used last first. @throws {OffloadError} not_found when this is no store */
export async function inspectStore(directory: string): Promise<StoreEntry[]> {
  const entries: StoreEntry[] = [];
  for (const id of await checkpointIds(directory)) {
    // One that goes while we look is none.
    const entry = await inspect(join(directory, CHECKPOINTS, id), id).catch(() => undefined);
    if (entry !== undefined) entries.push(entry);
  }
  return entries.sort((a, b) => (a.lastUsedAt > b.lastUsedAt ? -1 : 1));
}

/** @throws {OffloadError} not_found when this is no store */
export async function checkpointIds(directory: string): Promise<string[]> {
  try {
    return (await readdir(join(directory, CHECKPOINTS))).sort();
  } catch {
    throw new OffloadError('not_found', `page store ${directory}: there is no page store in this directory`);
  }
}

async function inspect(directory: string, id: string): Promise<StoreEntry> {
  const files = await measureDirectory(realFileSystem, directory);
  const { lastUsedMs, pinned } = await readUsage(realFileSystem, directory);
  const hasOrderLog = await stat(join(directory, ORDER)).then(
    () => true,
    () => false,
  );
  const common = {
    id,
    lastUsedAt: new Date(lastUsedMs).toISOString(),
    pinned,
    bytes: files.reduce((sum, file) => sum + file.bytes, 0),
    hasOrderLog,
  };
  try {
    const { createdAt, pageCount, zeroPageCount, sharedPageCount, tenant, parent } = await readManifest(
      realFileSystem,
      directory,
      id,
    );
    return {
      ...common,
      createdAt,
      pageCount,
      zeroPageCount,
      sharedPageCount,
      ...(tenant === undefined ? {} : { tenant }),
      ...(parent === undefined ? {} : { parent }),
    };
  } catch (error) {
    return { ...common, problem: (error as Error).message };
  }
}
