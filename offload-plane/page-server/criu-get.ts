/**
 * Answers the GET of a stock `criu lazy-pages --page-server`, so that a checkpoint in our store can be
 * restored without a pager of ours. The client takes an answer for the oldest request it has open and
 * asserts on anything else: one answer a request, in order, never a page it did not ask for.
 */
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { toOffloadError } from '../../platform/errors.ts';
import type { CheckpointReader, PageTarget } from '../page-store/contract.ts';
import { MAX_TASK_ID, PAGE_BYTES } from '../page-store/limits.ts';
import {
  CRIU_HEADER_BYTES,
  CriuCommand,
  type CriuHeader,
  criuViolation,
  decodeCriuHeader,
  encodeCriuHeader,
  PagemapFlag,
} from './criu-wire.ts';
import { destroyAfterGrace, guardIdle } from './stream-guard.ts';

/** The client asks for up to 4 MiB (its MAX_XFER_LEN). */
const MAX_PAGES_PER_GET = 4096n;

export interface CriuGetSummary {
  requestCount: number;
  pageCount: number;
}

/**
 * Serves until CLOSE or the end of the stream.
 * @throws {OffloadError} page_protocol_violation, deadline_exceeded, not_found, corrupt_page
 */
export async function serveCriuGet(
  stream: Duplex,
  reader: CheckpointReader,
  options: { idleDeadlineMs?: number } = {},
): Promise<CriuGetSummary> {
  const operation = `CRIU get ${reader.manifest.id}`;
  const guard = guardIdle(stream, operation, options.idleDeadlineMs ?? 600_000);
  const summary = { requestCount: 0, pageCount: 0 };
  const header = Buffer.alloc(CRIU_HEADER_BYTES);
  let headerBytes = 0;
  let closed = false;
  stream.on('error', () => {}); // told by the loop below; one that comes after it has nobody to tell
  try {
    for await (const chunk of stream) {
      guard.touch();
      for (let offset = 0; offset < (chunk as Buffer).length; ) {
        const copied = (chunk as Buffer).copy(header, headerBytes, offset);
        offset += copied;
        headerBytes += copied;
        if (headerBytes < CRIU_HEADER_BYTES) break;
        headerBytes = 0;
        if (closed) throw criuViolation('bytes after CLOSE');
        closed = await serve(stream, reader, decodeCriuHeader(header), summary);
        if (closed) destroyAfterGrace(stream);
      }
    }
    stream.end();
    return summary;
  } catch (error) {
    stream.destroy();
    if (closed) return summary;
    throw toOffloadError(error, operation);
  } finally {
    guard.stop();
  }
}

/** true when the conversation is over. */
async function serve(
  stream: Duplex,
  reader: CheckpointReader,
  request: CriuHeader,
  summary: CriuGetSummary,
): Promise<boolean> {
  if (request.command === CriuCommand.CLOSE || request.command === CriuCommand.FORCE_CLOSE) {
    stream.write(Buffer.alloc(4)); // status 0
    return true;
  }
  if (request.command !== CriuCommand.GET) throw criuViolation(`unknown command ${request.command}`);
  if (request.pageCount < 1n || request.pageCount > MAX_PAGES_PER_GET) {
    throw criuViolation(`GET of ${request.pageCount} pages, limit ${MAX_PAGES_PER_GET} pages`);
  }
  if (request.target < 1n || request.target > BigInt(MAX_TASK_ID)) {
    throw criuViolation(`GET from task ${request.target}`);
  }
  const target: PageTarget = { kind: 'task', id: Number(request.target) };
  const pageCount = pagesThere(reader, target, request);
  const answer = Buffer.allocUnsafe(CRIU_HEADER_BYTES + pageCount * PAGE_BYTES);
  const answered = { ...request, command: CriuCommand.ADD_F, flags: PagemapFlag.PRESENT };
  encodeCriuHeader({ ...answered, pageCount: BigInt(pageCount) }, answer);
  await reader.readInto(target, request.vaddr, pageCount, answer, CRIU_HEADER_BYTES);
  summary.requestCount++;
  summary.pageCount += pageCount;
  if (!stream.write(answer) && !stream.destroyed) await once(stream, 'drain');
  return false;
}

/** The client takes fewer pages than it asked for, but not none. */
function pagesThere(reader: CheckpointReader, target: PageTarget, request: CriuHeader): number {
  let count = 0n;
  while (count < request.pageCount) {
    if (reader.isZero(target, request.vaddr + count * BigInt(PAGE_BYTES)) === undefined) break;
    count++;
  }
  if (count === 0n) {
    throw criuViolation(`GET of task ${target.id} page 0x${request.vaddr.toString(16)}, which is not there`);
  }
  return Number(count);
}
