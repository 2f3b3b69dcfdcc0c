/**
 * A container's log, as conmon writes it: one line a chunk of output, `TIME STREAM P|F TEXT`. When it is
 * full conmon puts an empty file in its place; who follows reads the old one to its end first.
 */
import { type FileHandle, open, stat } from 'node:fs/promises';
import { setTimeout as wait } from 'node:timers/promises';

export interface LogQuery {
  /** Only the last so many lines of output. */
  tailLines?: number;
  /** Only what was written at this time or later. */
  sinceMs?: number;
  follow: boolean;
}

export interface LogSource {
  path: string;
  /** Nothing more will be written. */
  isOver: () => boolean;
  signal: AbortSignal;
}

const BLOCK_BYTES = 64 * 1024;
const POLL_INTERVAL_MS = 100;

export async function* readLog(source: LogSource, query: LogQuery): AsyncGenerator<Buffer> {
  let file = await open(source.path);
  try {
    const start = query.tailLines === undefined ? 0 : await startOfTail(file, query.tailLines);
    const skip = query.sinceMs === undefined ? undefined : skipUntil(query.sinceMs);
    let at = start;
    for (;;) {
      // Asked before the file is read: what is written before the end is read after it.
      const isLast = !query.follow || source.isOver();
      for await (const block of blocks(file, at)) {
        at += block.length;
        const wanted = skip ? skip(block) : block;
        if (wanted.length > 0) yield wanted;
      }
      if (source.signal.aborted) return;
      const next = await replacement(file, source.path, at);
      if (next) {
        await file.close();
        [file, at] = [next, 0];
      } else if (isLast) {
        return;
      } else {
        await wait(POLL_INTERVAL_MS, undefined, { signal: source.signal }).catch(() => undefined);
      }
    }
  } finally {
    await file.close();
  }
}

async function* blocks(file: FileHandle, from: number): AsyncGenerator<Buffer> {
  for (let at = from; ; ) {
    const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(BLOCK_BYTES), 0, BLOCK_BYTES, at);
    if (bytesRead === 0) return;
    at += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

/** The file that has taken this one's place, once this one was read to its end. */
async function replacement(
  file: FileHandle,
  path: string,
  readBytes: number,
): Promise<FileHandle | undefined> {
  const [own, other] = await Promise.all([file.stat(), stat(path).catch(() => undefined)]);
  if (!other || (own.ino === other.ino && own.dev === other.dev) || own.size > readBytes) return undefined;
  return open(path).catch(() => undefined);
}

/** A line of output may be several lines of the log: all but its last are marked P. */
const IS_WHOLE_LINE = /^\S+ \S+ F/;
const NEWLINE = 10;

/** Where the last `lineCount` lines begin, looked for from the end. */
async function startOfTail(file: FileHandle, lineCount: number): Promise<number> {
  const { size } = await file.stat();
  if (lineCount === 0) return size;
  let rest = Buffer.alloc(0);
  let [end, found] = [size, 0];
  while (end > 0) {
    const begin = Math.max(0, end - BLOCK_BYTES);
    const block = Buffer.alloc(end - begin);
    await file.read(block, 0, block.length, begin);
    rest = Buffer.concat([block, rest]);
    // Lines that are whole in what was read, from the last on.
    let lineEnd = rest.length;
    for (;;) {
      // To lastIndexOf an index below zero is one from the end.
      const before = lineEnd < 2 ? -1 : rest.lastIndexOf(NEWLINE, lineEnd - 2);
      if (before < 0 && begin > 0) break;
      const isWhole = IS_WHOLE_LINE.test(rest.toString('latin1', before + 1, Math.min(before + 64, lineEnd)));
      if (isWhole) {
        // The line that ends here begins further ahead if partial ones stand before it.
        if (found === lineCount) return begin + lineEnd;
        found += 1;
      }
      lineEnd = before + 1;
      if (before < 0) return 0;
    }
    rest = rest.subarray(0, lineEnd);
    end = begin;
  }
  return 0;
}

/** Leaves out whole lines until one is as late as wanted; times of a log stand in one form and compare as text. */
function skipUntil(sinceMs: number): (block: Buffer) => Buffer {
  const since = new Date(sinceMs).toISOString().slice(0, -1);
  let rest: Buffer = Buffer.alloc(0);
  let hasBegun = false;
  return (block) => {
    if (hasBegun) return block;
    let bytes = Buffer.concat([rest, block]);
    for (;;) {
      const end = bytes.indexOf(NEWLINE);
      if (end < 0) break;
      if (bytes.toString('latin1', 0, since.length) >= since) {
        hasBegun = true;
        return bytes;
      }
      bytes = bytes.subarray(end + 1);
    }
    rest = Buffer.from(bytes);
    return Buffer.alloc(0);
  };
}
