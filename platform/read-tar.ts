/**
 * Reads tars of strangers. tar-stream takes up to 4 MiB of extended headers before an entry, and seconds to
 * take them apart; global ones it adds anew to each entry that follows. And it never ends an entry whose size
 * is no number.
 */
import { type Extract, extract, type Header } from 'tar-stream';
import { KIB } from './units.ts';

/** By type, how long a header may be that tells of the next one: names, and extended attributes of 64 KiB each. */
const MAX_BYTES: Readonly<Record<string, number>> = {
  'pax-header': 256 * KIB,
  'pax-global-header': 4 * KIB,
  'gnu-long-path': 64 * KIB,
  'gnu-long-link-path': 64 * KIB,
};

/** What of tar-stream's own it takes to see such a header before its content is waited for. */
interface Parser {
  _header: Header | null;
  _consumeHeader(): boolean;
  _continueWrite(error: Error): void;
}

/** As `extract` of tar-stream; fails for what no program writes. */
export function readTar(): Extract {
  const entries = extract();
  const parser = entries as unknown as Parser;
  const consumeHeader = parser._consumeHeader;
  parser._consumeHeader = () => {
    if (!consumeHeader.call(parser)) return false;
    const problem = parser._header && problemOf(parser._header);
    if (!problem) return true;
    parser._continueWrite(new Error(problem));
    return false;
  };
  entries.on('entry', ({ size }) => {
    if (!Number.isSafeInteger(size)) entries.destroy(new Error('the size of an entry is no number'));
  });
  return entries;
}

function problemOf({ type, size }: Header): string | undefined {
  const limit = MAX_BYTES[type ?? ''];
  if (limit === undefined || (size ?? Number.NaN) <= limit) return undefined;
  return `a ${type} of ${size} bytes, limit ${limit} bytes`;
}
