/**
 * CRIU's pagemap images: two magic numbers, then messages of protobuf, each with a u32 length before it:
 * pagemap_head {1: pages_id}, pagemap_entry {1: vaddr, 2: compat_nr_pages, 4: flags, 5: nr_pages}.
 */

/** IMG_COMMON_MAGIC, then PAGEMAP_MAGIC (the same for shared memory). */
const MAGICS = [0x54564319, 0x56084025];
const MAX_U32 = 0xffffffffn;

export interface PagemapEntry {
  vaddr: bigint;
  pageCount: number;
  /** PagemapFlag bits. */
  flags: number;
}

/** Entries have to be sorted by address: CRIU reads them against its sorted VMAs. */
export function encodePagemapImage(pagesId: number, entries: readonly PagemapEntry[]): Buffer {
  const magic = Buffer.alloc(8);
  MAGICS.forEach((number, i) => {
    magic.writeUInt32LE(number, i * 4);
  });
  const parts = [magic, message([field(1, BigInt(pagesId))])];
  for (const { vaddr, pageCount, flags } of entries) {
    const count = BigInt(pageCount);
    const compat = count > MAX_U32 ? MAX_U32 : count;
    parts.push(message([field(1, vaddr), field(2, compat), field(4, BigInt(flags)), field(5, count)]));
  }
  return Buffer.concat(parts);
}

function message(fields: readonly number[][]): Buffer {
  const body = fields.flat();
  const bytes = Buffer.alloc(4 + body.length);
  bytes.writeUInt32LE(body.length, 0);
  bytes.set(body, 4);
  return bytes;
}

/** A varint field: wire type 0. */
function field(number: number, value: bigint): number[] {
  return [number << 3, ...varint(value)];
}

/** Seven bits a byte, lowest first; the top bit says that more follow. */
function varint(value: bigint): number[] {
  const bytes: number[] = [];
  let rest = value;
  while (rest > 0x7fn) {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  bytes.push(Number(rest));
  return bytes;
}
