/** Reads that pass the page cache by (O_DIRECT), where the file system can. */
import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import type { StoreFileSystem } from './file-system.ts';

export async function openDirect(fs: StoreFileSystem, path: string): Promise<FileHandle> {
  try {
    return await fs.open(path, constants.O_RDONLY | constants.O_DIRECT);
  } catch {
    return await fs.open(path, constants.O_RDONLY); // tmpfs before 6.6, some network file systems
  }
}

/** The part of WebAssembly used here; TypeScript has it only among the browser's types. */
const { Memory } = (globalThis as unknown as { WebAssembly: WebAssemblyMemory }).WebAssembly;
interface WebAssemblyMemory {
  Memory: new (pages: { initial: number; maximum: number }) => { buffer: ArrayBuffer };
}

/** O_DIRECT wants aligned memory, and WebAssembly's is the one kind of ours that begins at a page. */
export function alignedBuffer(bytes: number): Buffer {
  const pages = Math.ceil(bytes / 65_536);
  return Buffer.from(new Memory({ initial: pages, maximum: pages }).buffer);
}
