/** Reads pages and lets none pass whose checksum differs: whoever gets a page from here may rely on it. */
import { readSync } from 'node:fs';
import { OffloadError } from '../../platform/errors.ts';
import { xxh64At } from '../../platform/xxhash.ts';
import type { CheckpointFiles } from './checkpoint-files.ts';
import type { PageTarget } from './contract.ts';
import { toStoreError } from './durable.ts';
import { PAGE_BYTES } from './limits.ts';
import { sharedName } from './names.ts';
import type { Piece } from './page-lookup.ts';
import { placeSpan, planSpans, type Span, spanBuffer } from './spans.ts';

export interface PageRead {
  target: PageTarget;
  vaddr: bigint;
  pageCount: number;
  into: Buffer;
  offset: number;
}

export async function readPagesInto(files: CheckpointFiles, read: PageRead): Promise<void> {
  let offset = read.offset;
  for (const piece of checkedPieces(files, read)) {
    const bytes = piece.pageCount * PAGE_BYTES;
    if (piece.zero) read.into.fill(0, offset, offset + bytes);
    else if (!isHot(files, piece, read.into, offset)) {
      await readStoredPages(files, piece.storedPage, piece.pageCount, read.into, offset);
      verifyPiece(files, piece, read.into, offset);
    }
    offset += bytes;
  }
}

export function readPagesIntoSync(files: CheckpointFiles, read: PageRead): void {
  let offset = read.offset;
  for (const piece of checkedPieces(files, read)) {
    const bytes = piece.pageCount * PAGE_BYTES;
    if (piece.zero) read.into.fill(0, offset, offset + bytes);
    else if (!isHot(files, piece, read.into, offset)) {
      readStoredPagesSync(files, piece.storedPage, piece.pageCount, read.into, offset);
      verifyPiece(files, piece, read.into, offset);
    }
    offset += bytes;
  }
}

function isHot(files: CheckpointFiles, piece: Piece, into: Buffer, offset: number): boolean {
  return files.hotPages?.copy(piece.storedPage, piece.pageCount, into, offset) ?? false;
}

function checkedPieces(files: CheckpointFiles, read: PageRead): Piece[] {
  if (!Number.isSafeInteger(read.pageCount) || read.pageCount < 1) {
    throw new OffloadError(
      'invalid_request',
      `page store read ${files.manifest.id}: ${read.pageCount} pages is no page count`,
    );
  }
  if (read.offset + read.pageCount * PAGE_BYTES > read.into.length) {
    throw new OffloadError(
      'invalid_request',
      `page store read ${files.manifest.id}: ${read.pageCount} pages do not fit into ${read.into.length} bytes`,
    );
  }
  return files.lookup.pieces(read.target, read.vaddr, read.pageCount);
}

/** Stored pages as they lie, not yet compared with anything. @throws {OffloadError} incomplete_checkpoint */
export async function readStoredPages(
  files: CheckpointFiles,
  storedPage: number,
  pageCount: number,
  into: Buffer,
  offset: number,
): Promise<void> {
  for (const span of planSpans(files.index.origins, storedPage, pageCount)) {
    const to = spanBuffer(span, storedPage, into, offset);
    const file = files.pages.get(span.file)!;
    try {
      for (let done = 0; done < to.length; ) {
        const { bytesRead } = await file.read(to, done, to.length - done, span.filePage * PAGE_BYTES + done);
        if (bytesRead === 0) throw truncated(files, span);
        done += bytesRead;
      }
    } catch (error) {
      throw toStoreError(error, 'page store read', files.manifest.id);
    }
    placeSpan(span, to, storedPage, into, offset);
  }
}

export function readStoredPagesSync(
  files: CheckpointFiles,
  storedPage: number,
  pageCount: number,
  into: Buffer,
  offset: number,
): void {
  for (const span of planSpans(files.index.origins, storedPage, pageCount)) {
    const to = spanBuffer(span, storedPage, into, offset);
    const { fd } = files.pages.get(span.file)!;
    try {
      for (let done = 0; done < to.length; ) {
        const bytesRead = readSync(fd, to, done, to.length - done, span.filePage * PAGE_BYTES + done);
        if (bytesRead === 0) throw truncated(files, span);
        done += bytesRead;
      }
    } catch (error) {
      throw toStoreError(error, 'page store read', files.manifest.id);
    }
    placeSpan(span, to, storedPage, into, offset);
  }
}

/** Whether these bytes are the stored page. */
export function isRight(files: CheckpointFiles, storedPage: number, from: Buffer, offset: number): boolean {
  return xxh64At(from, offset, PAGE_BYTES) === files.checksums[storedPage];
}

/** @throws {OffloadError} corrupt_page, naming task and address */
export function verifyStoredPage(
  files: CheckpointFiles,
  storedPage: number,
  from: Buffer,
  offset: number,
): void {
  if (isRight(files, storedPage, from, offset)) return;
  const { kind, id, vaddr, firstStoredPage } = files.lookup.storedSegment(storedPage);
  const at = vaddr + BigInt((storedPage - firstStoredPage) * PAGE_BYTES);
  throw new OffloadError(
    'corrupt_page',
    `page store read ${files.manifest.id}: ${kind} ${id} page 0x${at.toString(16)} does not have its checksum`,
  );
}

function verifyPiece(files: CheckpointFiles, piece: Piece, from: Buffer, offset: number): void {
  for (let i = 0; i < piece.pageCount; i++) {
    verifyStoredPage(files, piece.storedPage + i, from, offset + i * PAGE_BYTES);
  }
}

function truncated(files: CheckpointFiles, span: Span): OffloadError {
  return new OffloadError(
    'incomplete_checkpoint',
    `page store read ${files.manifest.id}: ${sharedName(span.file)} ends before page ${span.filePage + span.pageCount - 1}`,
  );
}
