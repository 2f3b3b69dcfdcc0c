/** CRIU's own figures of a dump: the file stats-dump, one protobuf message behind two magics and a length. */
import { OffloadError } from '../../platform/errors.ts';

export interface DumpTimes {
  freezingMs: number;
  /** How long the tasks stood still. */
  frozenMs: number;
  memdumpMs: number;
  memwriteMs: number;
}

const HEAD_BYTES = 12;
const VARINT = 0;
const LENGTH_DELIMITED = 2;

export function decodeDumpTimes(file: Buffer): DumpTimes {
  const dump = fieldsOf(file.subarray(HEAD_BYTES)).get(1);
  if (!(dump instanceof Buffer)) throw new OffloadError('internal', 'stats-dump: it holds no dump');
  const times = fieldsOf(dump);
  const ms = (field: number) => Number(times.get(field) ?? 0n) / 1_000;
  return { freezingMs: ms(1), frozenMs: ms(2), memdumpMs: ms(3), memwriteMs: ms(4) };
}

function fieldsOf(message: Buffer): Map<number, bigint | Buffer> {
  const fields = new Map<number, bigint | Buffer>();
  let at = 0;
  const varint = () => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = message.readUInt8(at++);
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < message.length) {
    const key = Number(varint());
    const value = varint();
    if ((key & 7) === VARINT) fields.set(key >> 3, value);
    else if ((key & 7) === LENGTH_DELIMITED) {
      fields.set(key >> 3, message.subarray(at, at + Number(value)));
      at += Number(value);
    } else throw new OffloadError('internal', `stats-dump: field of kind ${key & 7}`);
  }
  return fields;
}
