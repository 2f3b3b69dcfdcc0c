/** The part of Redis's protocol (RESP2) that the workload speaks: commands out; simple, integer, bulk and error replies in. */
import { OffloadError } from '../../platform/errors.ts';

/** A reply line (status, integer, length) is short; a bulk is a value of ours. */
const LINE_BYTES_MAX = 512;
const BULK_BYTES_MAX = 1024 * 1024;

export type Reply =
  | { kind: 'simple' | 'error'; text: string }
  | { kind: 'integer'; value: number }
  | { kind: 'bulk'; value: Buffer | undefined };

export function encodeCommand(...args: (string | Buffer)[]): Buffer {
  const parts: Buffer[] = [Buffer.from(`*${args.length}\r\n`)];
  for (const arg of args) {
    const bytes = typeof arg === 'string' ? Buffer.from(arg) : arg;
    parts.push(Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n'));
  }
  return Buffer.concat(parts);
}

/** Takes chunks as they come and gives the replies they complete. */
export class ReplyParser {
  #chunks: Buffer[] = [];
  #heldBytes = 0;
  /** Bytes that the reply under way is known to need before another look is worth while. */
  #neededBytes = 0;

  /** @throws {OffloadError} runtime_failed when the peer does not speak RESP2, or says too much */
  push(chunk: Buffer): Reply[] {
    this.#chunks.push(chunk);
    this.#heldBytes += chunk.length;
    if (this.#heldBytes < this.#neededBytes) return [];
    const data = this.#chunks.length === 1 ? chunk : Buffer.concat(this.#chunks);
    const replies: Reply[] = [];
    let offset = 0;
    this.#neededBytes = 0;
    for (;;) {
      const parsed = parseReply(data, offset);
      if (typeof parsed === 'number') {
        this.#neededBytes = parsed - offset;
        break;
      }
      replies.push(parsed.reply);
      offset = parsed.end;
    }
    const rest = data.subarray(offset);
    this.#chunks = rest.length > 0 ? [rest] : [];
    this.#heldBytes = rest.length;
    return replies;
  }
}

/** The reply at an offset, or the end that the data must reach at least before it is whole. */
function parseReply(data: Buffer, offset: number): { reply: Reply; end: number } | number {
  const lineEnd = data.indexOf('\r\n', offset, 'latin1');
  if ((lineEnd < 0 ? data.length : lineEnd) - offset > LINE_BYTES_MAX) {
    throw protocolError(`a line of more than ${LINE_BYTES_MAX} bytes`);
  }
  if (lineEnd < 0) return data.length + 1;
  const type = String.fromCharCode(data[offset] ?? 0);
  const text = data.toString('utf8', offset + 1, lineEnd);
  const end = lineEnd + 2;
  if (type === '+') return { reply: { kind: 'simple', text }, end };
  if (type === '-') return { reply: { kind: 'error', text }, end };
  if (type !== ':' && type !== '$') throw protocolError(`a reply of type ${JSON.stringify(type)}`);
  if (!/^-?[0-9]{1,15}$/.test(text)) throw protocolError(`${JSON.stringify(text)} where a number belongs`);
  const value = Number(text);
  if (type === ':') return { reply: { kind: 'integer', value }, end };
  if (value === -1) return { reply: { kind: 'bulk', value: undefined }, end };
  if (value < 0 || value > BULK_BYTES_MAX)
    throw protocolError(`a bulk of ${value} bytes, the limit is ${BULK_BYTES_MAX} bytes`);
  const bulkEnd = end + value;
  if (data.length < bulkEnd + 2) return bulkEnd + 2;
  if (data[bulkEnd] !== 0x0d || data[bulkEnd + 1] !== 0x0a) throw protocolError('a bulk without its end');
  return { reply: { kind: 'bulk', value: data.subarray(end, bulkEnd) }, end: bulkEnd + 2 };
}

function protocolError(cause: string): OffloadError {
  return new OffloadError('runtime_failed', `read Redis reply: ${cause}`);
}
