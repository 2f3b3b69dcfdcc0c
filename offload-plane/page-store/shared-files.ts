/**
 * Pages files of earlier checkpoints that one being written may refer to. Each is linked into its
 * directory, so that the bytes stay whatever becomes of the checkpoint that wrote them.
 */
import { join } from 'node:path';
import type { CheckpointFiles } from './checkpoint-files.ts';
import type { StoredFile } from './contract.ts';
import { removeTree } from './durable.ts';
import type { StoreFileSystem } from './file-system.ts';
import type { FileUse } from './ledger.ts';
import { MAX_SHARED_FILE, MAX_SHARED_FILES_USED } from './limits.ts';
import { sharedName } from './names.ts';

/** For each of a checkpoint's files with pages, its number in the one being written. */
export type FileNumbers = ReadonlyMap<number, number>;

export class SharedFiles {
  readonly #fs: StoreFileSystem;
  readonly #directory: string;
  readonly #numbers = new Map<number, number>();
  readonly #files: (FileUse & { number: number })[] = [];
  readonly #used = new Set<number>();

  constructor(fs: StoreFileSystem, directory: string) {
    this.#fs = fs;
    this.#directory = directory;
  }

  /** What is linked, for the ledger. */
  get uses(): FileUse[] {
    return this.#files.map(({ inode, bytes }) => ({ inode, bytes, ownPages: false }));
  }

  /** Links a checkpoint's files; those that cannot be (too many links, a file system without) are left out. */
  async adopt(files: CheckpointFiles): Promise<FileNumbers> {
    const numbers = new Map<number, number>();
    for (const [file, handle] of files.pages) {
      const { ino } = await handle.stat();
      const number = this.#numbers.get(ino) ?? (await this.#link(files, file, ino));
      if (number !== undefined) numbers.set(file, number);
    }
    return numbers;
  }

  /** Whether pages may be left in this file; no more than a few files are used by one checkpoint. */
  use(number: number): boolean {
    if (!this.#used.has(number) && this.#used.size >= MAX_SHARED_FILES_USED) return false;
    this.#used.add(number);
    return true;
  }

  /** Drops the links that are not needed; gives the files that are. */
  async finish(): Promise<Record<string, StoredFile>> {
    const used: Record<string, StoredFile> = {};
    for (const { number, bytes } of this.#files) {
      if (this.#used.has(number)) used[sharedName(number)] = { bytes };
      else await removeTree(this.#fs, join(this.#directory, sharedName(number)));
    }
    return used;
  }

  async #link(files: CheckpointFiles, file: number, inode: number): Promise<number | undefined> {
    const number = this.#files.length + 1;
    if (number > MAX_SHARED_FILE) return undefined;
    const from = join(files.directory, sharedName(file));
    try {
      await this.#fs.link(from, join(this.#directory, sharedName(number)));
    } catch {
      return undefined;
    }
    this.#numbers.set(inode, number);
    const { bytes } = files.manifest.files[sharedName(file)]!;
    this.#files.push({ bytes, inode, ownPages: false, number });
    return number;
  }
}
