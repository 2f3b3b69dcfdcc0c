/**
 * CRIU's pagemap images: two magic numbers, then messages of protobuf, each with a u32 length before it:
 * pagemap_head {1: pages_id}, pagemap_entry {1: vaddr, 2: compat_nr_pages, 4: flags, 5: nr_pages}.
 */

/** IMG_COMMON_MAGIC, then PAGEMAP_MAGIC (the same for shared memory). */
const MAGICS = [0x54564319, 0x56084025];
const MAX_U32 = 0xffffffff;

export interface PagemapEntry {
  vaddr: bigint;
  pageCount: number;
  /** PagemapFlag bits. */
  flags: number;
}

/** Four fields of a key and at most ten bytes each, behind a length. */
const MAX_MESSAGE_BYTES = 4 + 4 * 11;

/** Entries have to be sorted by address: CRIU reads them against its sorted VMAs. */
export function encodePagemapImage(pagesId: number, entries: readonly PagemapEntry[]): Buffer {
  const bytes = Buffer.allocUnsafe(MAGICS.length * 4 + (entries.length + 1) * MAX_MESSAGE_BYTES);
  let end = 0;
  for (const number of MAGICS) end = bytes.writeUInt32LE(number, end);
  end = writeMessage(bytes, end, (at) => writeField(bytes, at, 1, pagesId));
  for (const { vaddr, pageCount, flags } of entries) {
    end = writeMessage(bytes, end, (start) => {
      let at = writeField(bytes, start, 1, Number(vaddr)); // below 2^53, as addresses are below 2^47
      at = writeField(bytes, at, 2, Math.min(pageCount, MAX_U32));
      at = writeField(bytes, at, 4, flags);
      return writeField(bytes, at, 5, pageCount);
    });
  }
  return bytes.subarray(0, end);
}

/** Each of these returns where the next byte goes. */
function writeMessage(bytes: Buffer, at: number, writeBody: (at: number) => number): number {
  const end = writeBody(at + 4);
  bytes.writeUInt32LE(end - at - 4, at);
  return end;
}

/** A varint field: wire type 0; seven bits a byte, lowest first, the top bit says that more follow. */
function writeField(bytes: Buffer, start: number, number: number, value: number): number {
  let at = start;
  bytes[at++] = number << 3;
  let rest = value;
  for (; rest > 0x7f; rest = Math.floor(rest / 0x80)) bytes[at++] = (rest % 0x80) | 0x80;
  bytes[at++] = rest;
  return at;
}
