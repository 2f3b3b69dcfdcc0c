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
    await consume(stream, (chunk) => {
      guard.touch();
      receivedBytes += chunk.length;
      const pressure = parser.push(chunk);
      options.onPages?.(parser.pageCount);
      if (parser.closed && !finished) {
        finished = true;
        guard.stop();
        finish(stream);
      }
      return pressure;
    });
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

/**
 * Hands every chunk on until the stream ends; a promise holds up the rest. By events, as an iterator
 * costs a promise and more a chunk.
 */
function consume(stream: Duplex, take: (chunk: Buffer) => Promise<void> | undefined): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const stop = (error: unknown) => {
    stream.off('data', onData);
    reject(error);
  };
  const onData = (chunk: Buffer) => {
    try {
      const pressure = take(chunk);
      if (pressure === undefined) return;
      stream.pause();
      pressure.then(() => stream.resume(), stop);
    } catch (error) {
      stop(error);
    }
  };
  stream.on('data', onData).once('end', resolve).once('close', resolve).once('error', stop);
  return promise;
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
