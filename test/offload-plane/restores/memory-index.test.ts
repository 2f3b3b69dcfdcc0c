import { buffer } from 'node:stream/consumers';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { memoryIndex } from '../../../offload-plane/restores/memory-index.ts';
import { xxh64 } from '../../../platform/xxhash.ts';
import {
  DATA,
  HEAP,
  HEAP_PAGES,
  heapBytes,
  makeStore,
  PAGE,
  pages,
  TASK,
  withCheckpoint,
  ZERO_AT,
} from '../page-store/fixture.ts';

interface IndexRecord {
  task: number;
  vaddr: bigint;
  digests: bigint[];
}

/** As offload-memcheck reads it. */
function decode(bytes: Buffer): IndexRecord[] {
  const records: IndexRecord[] = [];
  for (let offset = 0; offset < bytes.length; ) {
    const pageCount = bytes.readUInt32LE(offset + 4);
    const digests = Array.from({ length: pageCount }, (_, page) =>
      bytes.readBigUInt64LE(offset + 16 + page * 8),
    );
    records.push({ task: bytes.readUInt32LE(offset), vaddr: bytes.readBigUInt64LE(offset + 8), digests });
    offset += 16 + pageCount * 8;
  }
  return records;
}

test('every page of every task has its digest, zero pages too, and shared memory is left out', async () => {
  await withCheckpoint(async ({ reader }) => {
    const records = decode(await buffer(memoryIndex(reader)));
    assert.equal([...new Set(records.map(({ task }) => task))], [42, 43]);
    const digestAt = new Map(
      records.flatMap(({ task, vaddr, digests }) =>
        digests.map((digest, page) => [`${task}:${vaddr + BigInt(page * PAGE)}`, digest] as const),
      ),
    );
    assert.is(digestAt.size, 4 + HEAP_PAGES + 2);
    const heap = heapBytes();
    for (const page of [0, ZERO_AT - 1, ZERO_AT, HEAP_PAGES - 1]) {
      const expected = xxh64(heap.subarray(page * PAGE, (page + 1) * PAGE));
      assert.is(digestAt.get(`42:${HEAP + BigInt(page * PAGE)}`), expected, `page ${page}`);
    }
    assert.is(digestAt.get(`42:${DATA}`), xxh64(pages(1, 1000)));
  });
});

test('a long run is cut into records of at most 65536 pages that follow each other', async () => {
  const { store, remove } = await makeStore();
  const writer = await store.begin('long');
  const pageCount = 65_536 + 10;
  const chunkPages = 128;
  for (let first = 0; first < pageCount; first += chunkPages) {
    const count = Math.min(chunkPages, pageCount - first);
    await writer.addPages(TASK, HEAP + BigInt(first * PAGE), true, Buffer.alloc(count * PAGE));
  }
  await writer.commit({});
  const reader = await store.open('long');
  const records = decode(await buffer(memoryIndex(reader)));
  assert.equal(
    records.map(({ vaddr, digests }) => [vaddr, digests.length]),
    [
      [HEAP, 65_536],
      [HEAP + BigInt(65_536 * PAGE), 10],
    ],
  );
  await remove();
});

test.run();
