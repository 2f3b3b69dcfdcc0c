/**
 * Values that follow from their key alone, and cost next to nothing to make: a copy of one of a few blocks,
 * stamped so often that no two pages of the data set are alike.
 */
const BLOCK_COUNT = 16;
/** Half a page: whatever page of memory lies inside a value holds a stamp. */
const STAMP_INTERVAL_BYTES = 2048;
const STAMP_BYTES = 8;

export interface RedisValues {
  valueBytes: number;
  /** Writes the value of a key into a buffer. */
  write(target: Buffer, offset: number, index: number): void;
  /** Offset of the first byte that is wrong; undefined when the value is right. */
  firstDifference(value: Buffer, index: number): number | undefined;
}

export function keyOf(index: number): string {
  return `key:${String(index).padStart(8, '0')}`;
}

export function createRedisValues(valueBytes: number): RedisValues {
  const blocks = Array.from({ length: BLOCK_COUNT }, (_, block) => makeBlock(block, valueBytes));
  const scratch = Buffer.alloc(valueBytes);

  function write(target: Buffer, offset: number, index: number): void {
    blocks[index % BLOCK_COUNT]!.copy(target, offset);
    for (let at = 0; at + STAMP_BYTES <= valueBytes; at += STAMP_INTERVAL_BYTES) {
      target.writeUInt32LE(index, offset + at);
      target.writeUInt32LE((Math.imul(index, 2_654_435_761) ^ at) >>> 0, offset + at + 4);
    }
  }

  return {
    valueBytes,
    write,
    firstDifference(value, index) {
      write(scratch, 0, index);
      if (scratch.equals(value)) return undefined;
      const differs = scratch.findIndex((byte, at) => byte !== value[at]);
      return differs < 0 ? valueBytes : differs;
    },
  };
}

/** Bytes of a linear congruential generator: nothing that a compressor or a search for equal pages could shrink. */
function makeBlock(block: number, byteCount: number): Buffer {
  const bytes = Buffer.alloc(byteCount);
  let state = (block + 1) * 0x9e37_79b9;
  for (let at = 0; at < byteCount; at += 1) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[at] = state >>> 24;
  }
  return bytes;
}
