/**
 * What the store's files take. A pages file that several checkpoints share (by hard links) counts once,
 * until the last of them goes.
 */
import type { Stats } from 'node:fs';
import { join } from 'node:path';
import type { StoreFileSystem } from './file-system.ts';
import { PAGES } from './names.ts';

export interface FileUse {
  /** Names the bytes, whatever path leads to them. */
  inode: number;
  bytes: number;
  /** A checkpoint's own pages, which others may share. */
  ownPages: boolean;
}

export class Ledger {
  readonly #owners = new Map<string, FileUse[]>();
  readonly #files = new Map<number, { bytes: number; owners: number }>();
  #bytes = 0;
  #sharedBytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  /** What would be taken more if nothing was shared. */
  get sharedBytes(): number {
    return this.#sharedBytes;
  }

  clone(): Ledger {
    const copy = new Ledger();
    for (const [owner, files] of this.#owners) copy.set(owner, files);
    return copy;
  }

  set(owner: string, files: readonly FileUse[]): void {
    this.remove(owner);
    this.#owners.set(owner, [...files]);
    for (const { inode, bytes } of files) {
      const file = this.#files.get(inode);
      if (file !== undefined) {
        file.owners++;
        this.#sharedBytes += file.bytes;
      } else {
        this.#files.set(inode, { bytes, owners: 1 });
        this.#bytes += bytes;
      }
    }
  }

  remove(owner: string): void {
    for (const { inode } of this.#owners.get(owner) ?? []) {
      const file = this.#files.get(inode)!;
      if (--file.owners > 0) {
        this.#sharedBytes -= file.bytes;
        continue;
      }
      this.#files.delete(inode);
      this.#bytes -= file.bytes;
    }
    this.#owners.delete(owner);
  }

  /** Whether another checkpoint has pages in this one's file. */
  isShared(owner: string): boolean {
    const own = this.#owners.get(owner)?.find((file) => file.ownPages);
    return own !== undefined && this.#files.get(own.inode)!.owners > 1;
  }
}

/** Every file below `directory`; one that goes meanwhile is left out. */
export async function measureDirectory(fs: StoreFileSystem, directory: string): Promise<FileUse[]> {
  const uses: FileUse[] = [];
  for (const entry of await fs.readdir(directory, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const found = await fs.stat(path).catch(() => undefined);
    if (found !== undefined) uses.push(useOf(found, entry.parentPath === directory && entry.name === PAGES));
  }
  return uses;
}

function useOf(stats: Stats, ownPages: boolean): FileUse {
  return { inode: stats.ino, bytes: stats.size, ownPages };
}
