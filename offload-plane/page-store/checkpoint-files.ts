/**
 * An opened checkpoint, shared by all its readers: the index, the checksums and one descriptor of the
 * pages file. Opening proves that every file is there with its length, and index and checksums whole.
 */
import { createHash } from 'node:crypto';
import { type FileHandle, open, readFile, stat } from 'node:fs/promises';
import { endianness } from 'node:os';
import { join } from 'node:path';
import { OffloadError } from '../../platform/errors.ts';
import type { CheckpointManifest } from './contract.ts';
import { toStoreError } from './durable.ts';
import { decodeIndex, type PageIndex } from './index-format.ts';
import { decodeManifest, MAX_MANIFEST_BYTES } from './manifest.ts';
import { CHECKSUMS, INDEX, MANIFEST, PAGES } from './names.ts';
import { PageLookup } from './page-lookup.ts';

export interface CheckpointFiles {
  directory: string;
  manifest: CheckpointManifest;
  index: PageIndex;
  lookup: PageLookup;
  /** XXH64 of every stored page, in file order. */
  checksums: BigUint64Array;
  pages: FileHandle;
}

/** @throws {OffloadError} incomplete_checkpoint, naming the file; digest_mismatch; invalid_state */
export async function openCheckpointFiles(directory: string, id: string): Promise<CheckpointFiles> {
  const manifest = await readManifest(directory, id);
  await assertFilesWhole(directory, manifest);
  const index = decodeIndex(await readVerified(directory, manifest, INDEX), id);
  const checksums = toChecksums(await readVerified(directory, manifest, CHECKSUMS));
  if (checksums.length !== index.storedPageCount) {
    throw incomplete(id, `has ${checksums.length} checksums for ${index.storedPageCount} stored pages`);
  }
  const pages = await open(join(directory, PAGES), 'r');
  return { directory, manifest, index, lookup: new PageLookup(index, id), checksums, pages };
}

/** @throws {OffloadError} incomplete_checkpoint, invalid_state (unknown version) */
export async function readManifest(directory: string, id: string): Promise<CheckpointManifest> {
  const path = join(directory, MANIFEST);
  try {
    const { size } = await stat(path);
    if (size > MAX_MANIFEST_BYTES) {
      throw incomplete(id, `has a manifest.json of ${size} bytes, limit ${MAX_MANIFEST_BYTES} bytes`);
    }
    return decodeManifest(await readFile(path, 'utf8'), id);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw incomplete(id, 'has no manifest.json');
    throw toStoreError(error, 'page store open', id);
  }
}

/** Reads a whole file and checks its sha256. @throws {OffloadError} digest_mismatch */
export async function readVerified(
  directory: string,
  manifest: CheckpointManifest,
  name: string,
): Promise<Buffer> {
  const bytes = await readFile(join(directory, name));
  if (createHash('sha256').update(bytes).digest('hex') !== manifest.files[name]?.sha256) {
    throw new OffloadError(
      'digest_mismatch',
      `page store open ${manifest.id}: ${name} does not have its sha256`,
    );
  }
  return bytes;
}

async function assertFilesWhole(directory: string, manifest: CheckpointManifest): Promise<void> {
  for (const required of [PAGES, INDEX, CHECKSUMS]) {
    if (manifest.files[required] === undefined)
      throw incomplete(manifest.id, `names no ${required} in its manifest`);
  }
  for (const [name, file] of Object.entries(manifest.files)) {
    const found = await stat(join(directory, name)).catch(() => undefined);
    if (found === undefined) throw incomplete(manifest.id, `has no ${name}`);
    if (found.size !== file.bytes) {
      throw incomplete(manifest.id, `has ${name} of ${found.size} bytes, expected ${file.bytes} bytes`);
    }
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
