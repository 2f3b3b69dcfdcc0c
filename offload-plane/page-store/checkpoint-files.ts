/**
 * An opened checkpoint, shared by all its readers: the index, the checksums and a descriptor of each file
 * with pages. Opening proves that every file is there with its length, and index and checksums whole.
 */
import { createHash } from 'node:crypto';
import type { Stats } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { endianness } from 'node:os';
import { join } from 'node:path';
import { OffloadError } from '../../platform/errors.ts';
import type { CheckpointManifest } from './contract.ts';
import { toStoreError } from './durable.ts';
import type { StoreFileSystem } from './file-system.ts';
import type { HotPages } from './hot-pages.ts';
import { decodeIndex, type PageIndex } from './index-format.ts';
import { PAGE_BYTES } from './limits.ts';
import { decodeManifest, MAX_MANIFEST_BYTES } from './manifest.ts';
import { CHECKSUMS, INDEX, MANIFEST, PAGES, sharedName } from './names.ts';
import { PageLookup } from './page-lookup.ts';

export interface CheckpointFiles {
  fs: StoreFileSystem;
  directory: string;
  manifest: CheckpointManifest;
  /** Of the manifest when it was read. */
  stamp: string | undefined;
  index: PageIndex;
  lookup: PageLookup;
  /** XXH64 of every stored page. */
  checksums: BigUint64Array;
  /** Files with pages, by the number that origins have for them. */
  pages: ReadonlyMap<number, FileHandle>;
  /** The working set in memory, once it was asked for. */
  hotPages?: HotPages | undefined;
  /** The order log as it was read last. */
  orderLog?: { stamp: string; bytes: Buffer } | undefined;
  /** The memory digest of all stored pages before each, once it was asked for. */
  digestSums?: BigUint64Array;
  /** Resolves when they are there. */
  summing?: Promise<void>;
}

/** Says whether a file is still the one that was read. */
export const fileStamp = ({ ino, size, mtimeMs }: Stats): string => `${ino}:${size}:${mtimeMs}`;

/** Undefined when there is no manifest. Its time is that of the checkpoint's last use, and says nothing here. */
export async function manifestStamp(fs: StoreFileSystem, directory: string): Promise<string | undefined> {
  return await fs.stat(join(directory, MANIFEST)).then(
    ({ ino, size }) => `${ino}:${size}`,
    () => undefined,
  );
}

type OpenFile = (fs: StoreFileSystem, path: string) => Promise<FileHandle>;

/** @throws {OffloadError} incomplete_checkpoint, naming the file; digest_mismatch; invalid_state */
export async function openCheckpointFiles(
  fs: StoreFileSystem,
  directory: string,
  id: string,
  openFile: OpenFile = (system, path) => system.open(path, 'r'),
): Promise<CheckpointFiles> {
  const stamp = await manifestStamp(fs, directory);
  const manifest = await readManifest(fs, directory, id);
  await assertFilesWhole(fs, directory, manifest);
  const [indexBytes, checksumBytes] = await Promise.all([
    readVerified(fs, directory, manifest, INDEX),
    readVerified(fs, directory, manifest, CHECKSUMS),
  ]);
  const index = decodeIndex(indexBytes, id);
  const checksums = toChecksums(checksumBytes);
  if (checksums.length !== index.storedPageCount) {
    throw incomplete(id, `has ${checksums.length} checksums for ${index.storedPageCount} stored pages`);
  }
  assertOriginsInside(manifest, index);
  const pages = await openPages(index, (name) => openFile(fs, join(directory, name)));
  return { fs, directory, manifest, stamp, index, lookup: new PageLookup(index, id), checksums, pages };
}

export async function closeCheckpointFiles(files: CheckpointFiles): Promise<void> {
  await Promise.all([...files.pages.values()].map((file) => file.close()));
}

/** @throws {OffloadError} incomplete_checkpoint, invalid_state (unknown version) */
export async function readManifest(
  fs: StoreFileSystem,
  directory: string,
  id: string,
): Promise<CheckpointManifest> {
  const path = join(directory, MANIFEST);
  try {
    const { size } = await fs.stat(path);
    if (size > MAX_MANIFEST_BYTES) {
      throw incomplete(id, `has a manifest.json of ${size} bytes, limit ${MAX_MANIFEST_BYTES} bytes`);
    }
    return decodeManifest(await fs.readFile(path, 'utf8'), id);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw incomplete(id, 'has no manifest.json');
    throw toStoreError(error, 'page store open', id);
  }
}

/** Reads a whole file and checks its sha256. @throws {OffloadError} digest_mismatch */
export async function readVerified(
  fs: StoreFileSystem,
  directory: string,
  manifest: CheckpointManifest,
  name: string,
): Promise<Buffer> {
  const bytes = await fs.readFile(join(directory, name));
  if (createHash('sha256').update(bytes).digest('hex') !== manifest.files[name]?.sha256) {
    throw new OffloadError(
      'digest_mismatch',
      `page store open ${manifest.id}: ${name} does not have its sha256`,
    );
  }
  return bytes;
}

async function assertFilesWhole(
  fs: StoreFileSystem,
  directory: string,
  manifest: CheckpointManifest,
): Promise<void> {
  for (const required of [PAGES, INDEX, CHECKSUMS]) {
    if (manifest.files[required] === undefined)
      throw incomplete(manifest.id, `names no ${required} in its manifest`);
  }
  const files = Object.entries(manifest.files);
  const stats = await Promise.all(
    files.map(([name]) => fs.stat(join(directory, name)).catch(() => undefined)),
  );
  for (const [i, [name, file]] of files.entries()) {
    const found = stats[i];
    if (found === undefined) throw incomplete(manifest.id, `has no ${name}`);
    if (found.size !== file.bytes) {
      throw incomplete(manifest.id, `has ${name} of ${found.size} bytes, expected ${file.bytes} bytes`);
    }
  }
}

function assertOriginsInside(manifest: CheckpointManifest, index: PageIndex): void {
  for (const { file, filePage, pageCount } of index.origins) {
    const name = sharedName(file);
    const endByte = (filePage + pageCount) * PAGE_BYTES;
    if (endByte <= (manifest.files[name]?.bytes ?? 0)) continue;
    throw incomplete(manifest.id, `has an index that points past the end of ${name}`);
  }
}

async function openPages(
  index: PageIndex,
  openFile: (name: string) => Promise<FileHandle>,
): Promise<Map<number, FileHandle>> {
  const pages = new Map<number, FileHandle>();
  try {
    for (const file of new Set([0, ...index.origins.map((origin) => origin.file)])) {
      pages.set(file, await openFile(sharedName(file)));
    }
    return pages;
  } catch (error) {
    await Promise.all([...pages.values()].map((file) => file.close()));
    throw error;
  }
}

/** The file is little-endian, and so is every machine this runs on; another one is told, not misread. */
function toChecksums(bytes: Buffer): BigUint64Array {
  if (endianness() !== 'LE') {
    throw new OffloadError('internal', 'page store open: checksums need a little-endian machine');
  }
  const copy = new Uint8Array(bytes); // aligned, which a pooled Buffer need not be
  return new BigUint64Array(copy.buffer, 0, Math.floor(copy.byteLength / 8));
}

function incomplete(id: string, what: string): OffloadError {
  return new OffloadError('incomplete_checkpoint', `page store open ${id}: checkpoint ${what}`);
}
