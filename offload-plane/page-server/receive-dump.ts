/**
 * The server of a `criu dump --page-server`: pages go from the wire into the store. The writer is not
 * committed here; the metadata images follow on another way.
 */
import type { Duplex } from 'node:stream';
import { toOffloadError } from '../../platform/errors.ts';
import type { CheckpointWriter } from '../page-store/contract.ts';
import { criuViolation } from './criu-wire.ts';
import type { DumpOptions, DumpSummary } from './dump-contract.ts';
import { DumpParser } from './dump-parser.ts';
import { destroyAfterGrace, guardIdle } from './stream-guard.ts';

const DEFAULT_MAX_PAGE_COUNT = 2 ** 26;
/** Answers are 1 and 4 bytes; a peer that reads none of so many is up to something. */
const MAX_UNREAD_ANSWER_BYTES = 64 * 1024;

/**
 * Receives one dump. Whatever fails, the stream is destroyed, so that CRIU fails as well.
 * @throws {OffloadError} page_protocol_violation, deadline_exceeded, no_space, internal
 */
export async function receiveDump(
  stream: Duplex,
  writer: CheckpointWriter,
  options: DumpOptions,
): Promise<DumpSummary> {
  const startedMs = performance.now();
  const parser = new DumpParser({
    writer,
    maxPageCount: options.maxPageCount ?? DEFAULT_MAX_PAGE_COUNT,
    answer: (bytes) => answer(stream, bytes),
  });
  stream.on('error', () => {}); // told by the loop below; one that comes after it has nobody to tell
  const guard = guardIdle(stream, `dump ${writer.id}`, options.idleDeadlineMs);
  let receivedBytes = 0;
  let finished = false;
  try {
    for await (const chunk of stream) {
      guard.touch();
      receivedBytes += (chunk as Buffer).length;
      await parser.push(chunk as Buffer);
      if (!parser.closed || finished) continue;
      finished = true;
      guard.stop();
      finish(stream);
    }
    if (!finished) throw criuViolation(cutShort(parser));
    stream.end();
  } catch (error) {
    stream.destroy();
    if (!finished) throw toOffloadError(error, `dump ${writer.id}`);
  } finally {
    guard.stop();
  }
  return {
    pageCount: parser.pageCount,
    lazyPageCount: parser.lazyPageCount,
    inheritedPageCount: parser.inheritedPageCount,
    targetCount: parser.targetCount,
    receivedBytes,
    durationMs: performance.now() - startedMs,
  };
}

/** Status 0: everything has arrived. The peer closes first: what we had queued cannot be cut off then. */
function finish(stream: Duplex): void {
  stream.write(Buffer.alloc(4));
  destroyAfterGrace(stream);
}

function answer(stream: Duplex, bytes: Buffer): void {
  if (stream.writableLength > MAX_UNREAD_ANSWER_BYTES) {
    throw criuViolation(`more than ${MAX_UNREAD_ANSWER_BYTES} bytes of answers unread`);
  }
  stream.write(bytes);
}

function cutShort(parser: DumpParser): string {
  const where = parser.atBoundary ? 'without CLOSE' : 'in the middle of a command';
  return `the dump ended ${where} after ${parser.pageCount} pages`;
}
