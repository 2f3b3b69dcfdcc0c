/**
 * The records that fill the demo server's heap. Plain JavaScript, because it runs in the container as it is;
 * the client that verifies the server's answers makes the same records again.
 */

/** One-byte characters of one record, and so bytes: a quarter of a page. */
const RECORD_BYTES = 1024;
const WORD_COUNT = RECORD_BYTES / 4;
/** Prime, so that a walk leaves the neighbourhood at once and meets every record before any twice. */
const STRIDE = 7919;

/** How many records make up so many mebibytes. */
export function recordCount(heapMiB) {
  const count = (heapMiB * 1024 * 1024) / RECORD_BYTES;
  // A multiple of the stride would be walked in short circles.
  return count % STRIDE === 0 ? count - 1 : count;
}

/** Gives a function from a record's index to its text: a linear congruential generator's bits, seven to a character. */
export function createRecordMaker() {
  const words = new Uint32Array(WORD_COUNT);
  const bytes = Buffer.from(words.buffer);
  return (index) => {
    let state = (Math.imul(index, 2_654_435_761) ^ 0x9e37_79b9) >>> 0;
    for (let word = 0; word < WORD_COUNT; word += 1) {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      words[word] = state & 0x7f7f_7f7f;
    }
    return bytes.latin1Slice(0, RECORD_BYTES);
  };
}

/** Indices of `count` records spread over all `total`, beginning with the record `from`. */
export function* walk(total, from, count) {
  let index = from % total;
  for (let step = 0; step < count; step += 1) {
    yield index;
    index = (index + STRIDE) % total;
  }
}
