/**
 * The pages file while it is written: past the page cache (O_DIRECT), where the file system can. Such a
 * write costs neither memory nor a copy, and its bytes are on the device when it ends.
 */
import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { writeFully } from './durable.ts';
import type { StoreFileSystem } from './file-system.ts';

/** Makes the file, which must not exist. */
export async function createPagesFile(fs: StoreFileSystem, path: string): Promise<PagesFile> {
  const cached = await fs.open(path, 'wx');
  const direct = await fs.open(path, constants.O_WRONLY | constants.O_DIRECT).catch(() => undefined);
  return new PagesFile(cached, direct);
}

export class PagesFile {
  readonly #cached: FileHandle;
  readonly #direct: FileHandle | undefined;
  #passesCache: boolean;

  constructor(cached: FileHandle, direct: FileHandle | undefined) {
    this.#cached = cached;
    this.#direct = direct;
    this.#passesCache = direct !== undefined;
  }

  /** From now on the page cache takes what is written, and the device gets it when it can. */
  useCache(): void {
    this.#passesCache = false;
  }

  /** Memory, length and position are multiples of a page. */
  async write(pages: Buffer, position: number): Promise<void> {
    if (this.#passesCache && (await this.#writeDirect(pages, position))) return;
    await writeFully(this.#cached, pages, position);
  }

  /** false when the device wants other multiples than a page's (or was left with such by a short write). */
  async #writeDirect(pages: Buffer, position: number): Promise<boolean> {
    try {
      await writeFully(this.#direct!, pages, position);
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EINVAL') throw error;
      this.useCache();
      return false;
    }
  }

  sync(): Promise<void> {
    return this.#cached.sync();
  }

  async close(): Promise<void> {
    await this.#cached.close();
    await this.#direct?.close();
  }
}
