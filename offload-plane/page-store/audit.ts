/** Reads everything of a store and compares it with its checksums: what is damaged, by name. Writes nothing. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { MIB } from '../../platform/units.ts';
import { xxh64At } from '../../platform/xxhash.ts';
import { decodeOrder } from '../order-log/format.ts';
import { type CheckpointFiles, closeCheckpointFiles, openCheckpointFiles } from './checkpoint-files.ts';
import type { Segment } from './contract.ts';
import { alignedBuffer, openDirect } from './direct-reads.ts';
import { realFileSystem } from './file-system.ts';
import { PAGE_BYTES } from './limits.ts';
import { CHECKPOINTS, ORDER, WORKING_SET } from './names.ts';
import { locatePages } from './origins.ts';
import { openWorkingSet } from './working-set.ts';

export interface AuditResult {
  id: string;
  /** Pages that were read. */
  storedPageCount: number;
  /** One line for each damaged page or file; empty when all is well. */
  damage: string[];
}

const READ_PAGES = MIB / PAGE_BYTES;
/** Lines of damage that are kept of one checkpoint; what follows is counted. */
const MAX_LINES = 100;

export async function auditCheckpoint(store: string, id: string): Promise<AuditResult> {
  const directory = join(store, CHECKPOINTS, id);
  const damage = new DamageList();
  let files: CheckpointFiles;
  try {
    files = await openCheckpointFiles(realFileSystem, directory, id, openDirect);
  } catch (error) {
    damage.add((error as Error).message);
    return { id, storedPageCount: 0, damage: damage.lines() };
  }
  try {
    const into = alignedBuffer(MIB);
    for (const segment of files.index.segments) {
      if (!segment.zero) await auditSegment(files, segment, into, damage);
    }
    for (const [name, { sha256 }] of Object.entries(files.manifest.files)) {
      if (sha256 === undefined) continue; // pages, which have been read
      if ((await sha256Of(join(directory, name))) !== sha256) damage.add(`${name} does not have its sha256`);
    }
    await auditOrder(join(directory, ORDER), files, damage);
    await auditWorkingSet(files, damage);
    return { id, storedPageCount: files.index.storedPageCount, damage: damage.lines() };
  } finally {
    await closeCheckpointFiles(files);
  }
}

async function auditSegment(
  files: CheckpointFiles,
  segment: Segment,
  into: Buffer,
  damage: DamageList,
): Promise<void> {
  const { firstStoredPage, pageCount, kind, id, vaddr } = segment;
  const nameOf = (storedPage: number) =>
    `${kind} ${id} page 0x${(vaddr + BigInt((storedPage - firstStoredPage) * PAGE_BYTES)).toString(16)}`;
  for (const part of locatePages(files.index.origins, firstStoredPage, pageCount)) {
    for (let done = 0; done < part.pageCount; done += READ_PAGES) {
      const count = Math.min(READ_PAGES, part.pageCount - done);
      const position = (part.filePage + done) * PAGE_BYTES;
      const first = part.firstStoredPage + done;
      const bytesRead = await readAt(files.pages.get(part.file)!, into, count * PAGE_BYTES, position);
      for (let i = 0; i < count; i++) {
        const at = i * PAGE_BYTES;
        if (at + PAGE_BYTES > bytesRead) damage.add(`${nameOf(first + i)} cannot be read`);
        else if (xxh64At(into, at, PAGE_BYTES) !== files.checksums[first + i]) {
          damage.add(`${nameOf(first + i)} does not have its checksum`);
        }
      }
    }
  }
}

/** Straight into aligned memory, as O_DIRECT wants it; gives what could be read. */
async function readAt(file: FileHandle, into: Buffer, bytes: number, position: number): Promise<number> {
  let done = 0;
  while (done < bytes) {
    const read = file.read(into, done, bytes - done, position + done);
    const { bytesRead } = await read.catch(() => ({ bytesRead: 0 }));
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return done;
}

async function auditOrder(path: string, files: CheckpointFiles, damage: DamageList): Promise<void> {
  if ((await stat(path).catch(() => undefined)) === undefined) return;
  const order = decodeOrder(await readFile(path));
  if (typeof order === 'string') damage.add(`order: ${order}`);
  else if (order.digest !== files.manifest.digest) damage.add('order: belongs to another checkpoint');
}

async function auditWorkingSet(files: CheckpointFiles, damage: DamageList): Promise<void> {
  if ((await stat(join(files.directory, WORKING_SET)).catch(() => undefined)) === undefined) return;
  const set = await openWorkingSet(files, (storedPage) => {
    const { kind, id, vaddr, firstStoredPage } = files.lookup.storedSegment(storedPage);
    const at = vaddr + BigInt((storedPage - firstStoredPage) * PAGE_BYTES);
    damage.add(`working-set: ${kind} ${id} page 0x${at.toString(16)}`);
  });
  if (set === undefined) return damage.add('working-set: cannot be used');
  try {
    for await (const _ of set.blocks());
  } catch {
    // a page that is damaged everywhere has been named
  }
}

async function sha256Of(path: string): Promise<string> {
  const digest = createHash('sha256');
  for await (const chunk of createReadStream(path)) digest.update(chunk as Buffer);
  return digest.digest('hex');
}

class DamageList {
  readonly #lines: string[] = [];
  #count = 0;

  add(line: string): void {
    if (this.#count++ < MAX_LINES) this.#lines.push(line);
  }

  lines(): string[] {
    const more = this.#count - this.#lines.length;
    return more > 0 ? [...this.#lines, `and ${more} more`] : this.#lines;
  }
}
