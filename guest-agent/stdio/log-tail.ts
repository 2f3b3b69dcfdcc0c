/** The end of what was written, out of conmon's log: for who attaches under an agent that was not there to see it. */
import { open } from 'node:fs/promises';
import { logEntries } from '../../interconnect/conmon-log.ts';
import type { OutputChunk } from './backlog.ts';

/** Of the log: output in short lines is a small part of it. */
const MAX_LOG_BYTES = 256 * 1024;
const NEWLINE = 10;

/** Nothing where there is no log. */
export async function readLogTail(path: string): Promise<OutputChunk[]> {
  const file = await open(path).catch(() => undefined);
  if (!file) return [];
  try {
    const { size } = await file.stat();
    const from = Math.max(0, size - MAX_LOG_BYTES);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(size - from), 0, size - from, from);
    const read = buffer.subarray(0, bytesRead);
    // What comes before the first newline may be the end of a line.
    const whole = from === 0 ? read : read.subarray(read.indexOf(NEWLINE) + 1);
    const chunks: OutputChunk[] = [];
    for await (const { stream, bytes } of logEntries([whole])) chunks.push({ stream, bytes });
    return chunks;
  } finally {
    await file.close();
  }
}

/**
 * What of `written` came before `seen`, which was written as well: conmon writes its log first and tells who
 * is attached then.
 */
export function writtenBefore(written: readonly OutputChunk[], seen: readonly OutputChunk[]): OutputChunk[] {
  const all = Buffer.concat(written.map(({ bytes }) => bytes));
  const at = seen.length === 0 ? -1 : all.lastIndexOf(Buffer.concat(seen.map(({ bytes }) => bytes)));
  let left = at < 0 ? all.length : at;
  const before: OutputChunk[] = [];
  for (const { stream, bytes } of written) {
    if (left === 0) break;
    const kept = bytes.subarray(0, left);
    left -= kept.length;
    before.push({ stream, bytes: kept });
  }
  return before;
}
