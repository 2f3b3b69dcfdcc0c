/** What of a container's log somebody wants to see, and how. */
import type { LogEntry } from '../../interconnect/conmon-log.ts';

const NEWLINE = 10;

export interface LogWanted {
  sinceMs?: number;
  untilMs?: number;
  /** Each line begins with its time. */
  timestamps: boolean;
}

/** The entries between two times, with their times where they are wanted. */
export async function* wantedOutput(
  entries: AsyncIterable<LogEntry>,
  { sinceMs = Number.NEGATIVE_INFINITY, untilMs = Number.POSITIVE_INFINITY, timestamps }: LogWanted,
): AsyncGenerator<{ stream: LogEntry['stream']; bytes: Buffer }> {
  const isWithinLine = new Map<LogEntry['stream'], boolean>();
  for await (const { time, stream, bytes } of entries) {
    const atMs = Date.parse(time);
    if (atMs > untilMs) return;
    if (atMs < sinceMs) continue;
    const needsTime = timestamps && isWithinLine.get(stream) !== true;
    yield { stream, bytes: needsTime ? Buffer.concat([Buffer.from(`${time} `), bytes]) : bytes };
    isWithinLine.set(stream, bytes.at(-1) !== NEWLINE);
  }
}
