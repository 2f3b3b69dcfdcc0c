/** What the store remembers of a checkpoint beside its content: when it was last used, and whether it is pinned. */
import { join } from 'node:path';
import { syncDirectory } from './durable.ts';
import type { StoreFileSystem } from './file-system.ts';
import { MANIFEST, PINNED } from './names.ts';

export interface Usage {
  lastUsedMs: number;
  pinned: boolean;
}

/**
 * The last use is the manifest's modification time, which nothing else changes: one call into the file
 * system and no sync. A power cut may cost the last seconds of it.
 */
export async function noteUse(fs: StoreFileSystem, directory: string, atMs: number): Promise<void> {
  await fs.utimes(join(directory, MANIFEST), atMs / 1000, atMs / 1000);
}

export async function readUsage(fs: StoreFileSystem, directory: string): Promise<Usage> {
  const modifiedMs = (path: string) => fs.stat(path).then(({ mtimeMs }) => mtimeMs);
  const manifest = await modifiedMs(join(directory, MANIFEST)).catch(() => modifiedMs(directory));
  const pinned = await modifiedMs(join(directory, PINNED)).then(
    () => true,
    () => false,
  );
  return { lastUsedMs: manifest, pinned };
}

export async function setPinned(fs: StoreFileSystem, directory: string, pinned: boolean): Promise<void> {
  const path = join(directory, PINNED);
  if (pinned) await (await fs.open(path, 'a')).close();
  else await fs.rm(path, { force: true });
  await syncDirectory(fs, directory);
}
