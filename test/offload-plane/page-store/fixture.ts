/** A store in a temporary directory, and a checkpoint with every kind of page in it. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import type {
  BeginOptions,
  CheckpointManifest,
  CheckpointReader,
  PageStore,
  PageStoreOptions,
} from '../../../offload-plane/page-store/contract.ts';
import { openPageStore } from '../../../offload-plane/page-store/store.ts';

export const PAGE = 4096;
export const TASK = { kind: 'task', id: 42 } as const;
export const OTHER = { kind: 'task', id: 43 } as const;
export const SHMEM = { kind: 'shmem', id: 7 } as const;
export const HEAP = 0x7f00_0000_0000n;
export const DATA = 0x40_0000n;

export interface StoreFixture {
  directory: string;
  store: PageStore;
  remove(): Promise<void>;
}

export async function makeStore(options: Partial<PageStoreOptions> = {}): Promise<StoreFixture> {
  const directory = await mkdtemp(join(tmpdir(), 'page-store-test-'));
  const store = await openPageStore({ directory, ...options });
  const remove = async () => {
    await store.close();
    await rm(directory, { recursive: true, force: true });
  };
  return { directory, store, remove };
}

/** Pages that differ from each other and from zero: each filled with its number. */
export function pages(count: number, first = 1): Buffer {
  const bytes = Buffer.alloc(count * PAGE);
  for (let i = 0; i < count; i++) {
    bytes.fill(((first + i) % 255) + 1, i * PAGE, (i + 1) * PAGE);
    bytes.writeUInt32LE(first + i, i * PAGE + 8);
  }
  return bytes;
}

/** Where the fixture's zero pages of the heap begin, and how many there are. */
export const HEAP_PAGES = 300;
export const ZERO_AT = 100;
export const ZERO_PAGES = 20;

/** The heap's bytes as they were at the checkpoint. */
export function heapBytes(): Buffer {
  const bytes = pages(HEAP_PAGES);
  bytes.fill(0, ZERO_AT * PAGE, (ZERO_AT + ZERO_PAGES) * PAGE);
  return bytes;
}

/**
 * task 42: 4 pages of data that are not lazy (the second zero) and a lazy heap of 300 pages with 20 zero
 * pages in it; task 43: 2 lazy pages; shared memory 7: 3 pages, the last zero.
 */
export async function writeCheckpoint(
  store: PageStore,
  id: string,
  options: BeginOptions = {},
  meta: object = { container: 'redis' },
): Promise<CheckpointManifest> {
  const writer = await store.begin(id, options);
  const data = pages(4, 1000);
  data.fill(0, PAGE, 2 * PAGE);
  await writer.addPages(TASK, DATA, false, data);
  const heap = heapBytes();
  for (let offset = 0; offset < heap.length; offset += 128 * PAGE) {
    await writer.addPages(TASK, HEAP + BigInt(offset), true, heap.subarray(offset, offset + 128 * PAGE));
  }
  await writer.addPages(OTHER, HEAP, true, pages(2, 2000));
  const shared = pages(3, 3000);
  shared.fill(0, 2 * PAGE);
  await writer.addPages(SHMEM, 0n, false, shared);
  await writer.addImage('core-42.img', Buffer.from('core of 42'));
  return await writer.commit(meta);
}

export async function withCheckpoint(
  test: (fixture: StoreFixture & { reader: CheckpointReader }) => Promise<void>,
): Promise<void> {
  const fixture = await makeStore();
  try {
    await writeCheckpoint(fixture.store, 'warm');
    await test({ ...fixture, reader: await fixture.store.open('warm') });
  } finally {
    await fixture.remove();
  }
}

/** The pages of its working set in their order, as `task page`, with the bytes that came; undefined without one. */
export async function readWorkingSet(
  reader: CheckpointReader,
): Promise<{ name: string; bytes: Buffer }[] | undefined> {
  const set = await reader.readWorkingSet();
  if (set === undefined) return undefined;
  const bytes: Buffer[] = [];
  for await (const block of set.blocks()) bytes.push(block);
  const whole = Buffer.concat(bytes);
  assert.is(whole.length, set.pages.length * PAGE);
  return Array.from(set.pages, (page, i) => {
    const { id, vaddr, firstStoredPage } = reader.storedSegment(page);
    const number = Number(vaddr - HEAP) / PAGE + page - firstStoredPage;
    return { name: `${id} ${number}`, bytes: whole.subarray(i * PAGE, (i + 1) * PAGE) };
  });
}
