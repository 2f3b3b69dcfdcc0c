/** conmon's log lines, `TIME STREAM P|F TEXT`, as the output they were made from. */
import { OffloadError } from '../platform/errors.ts';
import { STDERR, STDOUT } from './stdio-frames.ts';

export interface LogEntry {
  /** As conmon wrote it: RFC 3339 with nanoseconds. */
  time: string;
  stream: typeof STDOUT | typeof STDERR;
  /** Exactly what was written; a line that is complete ends with its newline. */
  bytes: Buffer;
}

/** conmon reads 8 KiB at a time; a guest that sends longer lines is not let go on. */
const MAX_LINE_BYTES = 64 * 1024;
const NEWLINE = 10;
const HEAD = /^(\d{4}-\d{2}-\d{2}T[0-9:.]{8,18}(?:Z|[+-]\d{2}:\d{2})) (stdout|stderr) ([PF]) /;
const MAX_HEAD_BYTES = 64;

export async function* logEntries(
  source: AsyncIterable<Buffer> | Iterable<Buffer>,
): AsyncGenerator<LogEntry> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of source) {
    let bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE)) {
      const entry = entryOf(bytes.subarray(0, end + 1));
      if (entry) yield entry;
      bytes = bytes.subarray(end + 1);
    }
    if (bytes.length > MAX_LINE_BYTES) {
      throw new OffloadError('guest_lost', `read log: a line of over ${MAX_LINE_BYTES} bytes`);
    }
    rest = Buffer.from(bytes);
  }
}

/** A line in another form is not one of conmon's: it is left out. */
function entryOf(line: Buffer): LogEntry | undefined {
  const head = HEAD.exec(line.toString('latin1', 0, MAX_HEAD_BYTES));
  if (!head) return undefined;
  const [{ length }, time = '', stream, tag] = head;
  return {
    time,
    stream: stream === 'stderr' ? STDERR : STDOUT,
    bytes: line.subarray(length, tag === 'F' ? line.length : -1),
  };
}
