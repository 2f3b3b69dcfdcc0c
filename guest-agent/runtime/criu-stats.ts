/**
 * The statistics CRIU leaves of a dump: two magic numbers, a length, and a protobuf message
 * stats_entry {1: dump_stats_entry {1: freezing_time, 2: frozen_time, ...}}, times in microseconds.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

const MESSAGE_OFFSET = 12;
const DUMP = 1;
const FREEZING_TIME = 1;
const FROZEN_TIME = 2;
const VARINT = 0;
const BYTES = 2;

export interface DumpTimes {
  /** Until the last task was stopped. */
  freezingMs: number;
  /** How long all of them stood still after that. */
  frozenMs: number;
}

/** How long CRIU held the tasks; undefined when it does not say. */
export async function readDumpTimes(workDirectory: string): Promise<DumpTimes | undefined> {
  const image = await readFile(join(workDirectory, 'stats-dump')).catch(() => Buffer.alloc(0));
  const dump = readFields(image.subarray(MESSAGE_OFFSET)).get(DUMP);
  if (!Buffer.isBuffer(dump)) return undefined;
  const times = readFields(dump);
  const [freezingUs, frozenUs] = [times.get(FREEZING_TIME), times.get(FROZEN_TIME)];
  if (typeof freezingUs !== 'number' || typeof frozenUs !== 'number') return undefined;
  return { freezingMs: freezingUs / 1000, frozenMs: frozenUs / 1000 };
}

/** The fields of a message by number, up to the first of a type that the statistics do not have. */
function readFields(message: Buffer): Map<number, number | Buffer> {
  const fields = new Map<number, number | Buffer>();
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; at < message.length; scale *= 0x80) {
      const byte = message[at++]!;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) break;
    }
    return value;
  };
  while (at < message.length) {
    const key = varint();
    const value = varint();
    const [number, type] = [key >>> 3, key & 7];
    if (type === VARINT) fields.set(number, value);
    else if (type === BYTES) {
      fields.set(number, message.subarray(at, at + value));
      at += value;
    } else break;
  }
  return fields;
}
