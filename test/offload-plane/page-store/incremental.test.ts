import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { CheckpointReader, PageStore } from '../../../offload-plane/page-store/contract.ts';
import { openPageStore } from '../../../offload-plane/page-store/store.ts';
import { fails } from './fails.ts';
import { HEAP, makeStore, OTHER, PAGE, pages, TASK, writeCheckpoint } from './fixture.ts';

const RUNS = Number(process.env.OFFLOAD_TEST_RUNS ?? 25);
/** Pages of the modelled address space. */
const SPACE = 200;
type Memory = Map<number, Buffer>;

/** Every page of a checkpoint's task, by page number from HEAP on. */
async function memoryOf(reader: CheckpointReader): Promise<Memory> {
  const memory: Memory = new Map();
  for (const { kind, id, vaddr, pageCount } of reader.segments()) {
    const bytes = await reader.readPages({ kind, id }, vaddr, pageCount);
    const first = Number(vaddr - HEAP) / PAGE;
    for (let i = 0; i < pageCount; i++) memory.set(first + i, bytes.subarray(i * PAGE, (i + 1) * PAGE));
  }
  return memory;
}

function assertSame(found: Memory, expected: Memory, where: string): void {
  assert.equal(
    [...found.keys()].sort((a, b) => a - b),
    [...expected.keys()].sort((a, b) => a - b),
    where,
  );
  for (const [page, bytes] of expected) assert.ok(found.get(page)!.equals(bytes), `${where}: page ${page}`);
}

/** One generation: what was written, zeroed or unmapped since the one before. */
const STEP = fc.array(
  fc.record({
    how: fc.constantFrom('write', 'zero', 'remove'),
    page: fc.nat(SPACE - 1),
    count: fc.integer({ min: 1, max: 30 }),
  }),
  { maxLength: 6 },
);
type Step = { how: 'write' | 'zero' | 'remove'; page: number; count: number }[];

/** Applies a step to the model; the last word about a page counts. */
function apply(memory: Memory, step: Step, seed: number): { given: Set<number>; removed: Set<number> } {
  const given = new Set<number>();
  const removed = new Set<number>();
  for (const { how, page, count } of step) {
    for (let at = page; at < Math.min(SPACE, page + count); at++) {
      if (how === 'remove') memory.delete(at);
      else memory.set(at, how === 'zero' ? Buffer.alloc(PAGE) : pages(1, seed * 1000 + at));
      (how === 'remove' ? removed : given).add(at);
      (how === 'remove' ? given : removed).delete(at);
    }
  }
  return { given, removed };
}

async function writeGeneration(
  store: PageStore,
  id: string,
  parent: string | undefined,
  memory: Memory,
  changes: { given: Set<number>; removed: Set<number> },
  inherit: 'rest' | 'named',
): Promise<void> {
  const writer = await store.begin(id, parent === undefined ? {} : { parent, inherit });
  writer.addTarget(TASK);
  const address = (page: number) => HEAP + BigInt(page * PAGE);
  for (const [page, bytes] of memory) {
    if (parent === undefined || changes.given.has(page)) {
      await writer.addPages(TASK, address(page), true, bytes);
    } else if (inherit === 'named') writer.inheritPages(TASK, address(page), 1);
  }
  if (parent !== undefined && inherit === 'rest') {
    for (const page of changes.removed) writer.removePages(TASK, address(page), 1);
  }
  await writer.commit({});
}

for (const inherit of ['rest', 'named'] as const) {
  test(`a chain gives the same bytes as full checkpoints, whichever of it goes (inherit ${inherit})`, async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(STEP, { minLength: 2, maxLength: 5 }),
        fc.infiniteStream(fc.nat()),
        async (steps, picks) => {
          const { store, directory, remove } = await makeStore();
          try {
            const memory: Memory = new Map();
            const expected = new Map<string, Memory>();
            let parent: string | undefined;
            for (const [i, step] of steps.entries()) {
              const changes = apply(memory, step as Step, i + 1);
              await writeGeneration(store, `g${i}`, parent, memory, changes, inherit);
              parent = `g${i}`;
              expected.set(parent, new Map(memory));
            }
            await store.close();
            const again = await openPageStore({ directory });
            for (let left = [...expected.keys()]; left.length > 0; left = [...expected.keys()]) {
              for (const id of left) {
                const reader = await again.open(id);
                assertSame(await memoryOf(reader), expected.get(id)!, id);
                await reader.close();
              }
              const gone = left[picks.next().value % left.length]!;
              await again.remove(gone);
              expected.delete(gone);
            }
            assert.is(again.usedBytes, 0);
            await again.close();
          } finally {
            await remove();
          }
        },
      ),
      { numRuns: RUNS },
    );
  });
}

test('a child takes room for its own pages only, and keeps flags, zero pages and targets of its parent', async () => {
  const { store, remove } = await makeStore();
  const base = await writeCheckpoint(store, 'base');
  const writer = await store.begin('child', { parent: 'base' });
  assert.ok(writer.parentHas(TASK));
  assert.not(writer.parentHas({ kind: 'task', id: 99 }));
  await writer.addPages(TASK, HEAP, true, pages(10, 7000));
  const child = await writer.commit({});
  assert.is(child.parent, 'base');
  assert.is(child.pageCount, base.pageCount);
  assert.is(child.zeroPageCount, base.zeroPageCount);
  assert.is(child.pageCount - child.zeroPageCount - child.sharedPageCount, 10);
  const [a, b] = [await store.open('base'), await store.open('child')];
  assert.equal(b.targets(), a.targets());
  assert.equal(
    b
      .segments()
      .map(({ kind, vaddr, lazy, zero }) => ({ kind, vaddr, lazy, zero }))
      .filter(({ zero }) => zero),
    a
      .segments()
      .map(({ kind, vaddr, lazy, zero }) => ({ kind, vaddr, lazy, zero }))
      .filter(({ zero }) => zero),
  );
  assert.ok((await b.readPages(OTHER, HEAP, 2)).equals(pages(2, 2000)));
  await remove();
});

test('pages that the parent lacks cannot be inherited, and none without a parent', async () => {
  const { store, remove } = await makeStore();
  await writeCheckpoint(store, 'base');
  const child = await store.begin('child', { parent: 'base', inherit: 'named' });
  await fails('page_protocol_violation', /task 42 has no page at 0x1000/, () =>
    child.inheritPages(TASK, 0x1000n, 1),
  );
  child.inheritPages(TASK, HEAP, 4);
  const { pageCount } = (await store.list()).find(({ id }) => id === 'base')!;
  await fails('page_protocol_violation', new RegExp(`more than the ${pageCount} pages of the parent`), () => {
    for (let times = 1; times < pageCount; times += 1) child.inheritPages(TASK, HEAP, 4);
  });
  await child.addPages(TASK, HEAP, true, pages(1));
  await fails('page_protocol_violation', /has page 0x7f0000000000 twice/, () => child.commit({}));
  const orphan = await store.begin('orphan');
  await fails('invalid_state', /orphan has no parent/, () => orphan.inheritPages(TASK, HEAP, 1));
  await remove();
});

test('a chain too long to refer to every file of it copies pages instead', async () => {
  const { store, remove } = await makeStore();
  const memory: Memory = new Map();
  for (let i = 0; i < 24; i++) {
    const changes = apply(memory, [{ how: 'write', page: i * 4, count: 4 }], i + 1);
    await writeGeneration(store, `g${i}`, i === 0 ? undefined : `g${i - 1}`, memory, changes, 'rest');
  }
  const reader = await store.open('g23');
  assertSame(await memoryOf(reader), memory, 'g23');
  const shared = Object.keys(reader.manifest.files).filter((name) => name.startsWith('shared-'));
  assert.ok(shared.length <= 16, `${shared.length} files`);
  await remove();
});

test('a parent may go while its child is being written', async () => {
  const { store, remove } = await makeStore();
  await writeCheckpoint(store, 'base');
  const writer = await store.begin('child', { parent: 'base' });
  await store.remove('base');
  await writer.commit({});
  const reader = await store.open('child');
  assert.ok((await reader.readPages(OTHER, HEAP, 2)).equals(pages(2, 2000)));
  await remove();
});

test.run();
