/** Whatever happens to stored bytes: refused by name, or right. Never a wrong byte. */
import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { CheckpointReader, PageTarget } from '../../../offload-plane/page-store/contract.ts';
import { encodeManifest } from '../../../offload-plane/page-store/manifest.ts';
import { OffloadError } from '../../../platform/errors.ts';
import { fails } from './fails.ts';
import { HEAP, makeStore, OTHER, PAGE, pages, type StoreFixture, TASK, writeCheckpoint } from './fixture.ts';

const RUNS = Number(process.env.OFFLOAD_TEST_RUNS ?? 60);
const REFUSALS = new Set(['corrupt_page', 'digest_mismatch', 'incomplete_checkpoint', 'invalid_state']);

interface World extends StoreFixture {
  path(id: string, name: string): string;
  /** Every page of both checkpoints as it was written, by `id kind target address`. */
  truth: Map<string, Buffer>;
}

const keyOf = (id: string, target: PageTarget, vaddr: bigint) =>
  `${id} ${target.kind} ${target.id} 0x${vaddr.toString(16)}`;

function everyPage(reader: CheckpointReader): { target: PageTarget; vaddr: bigint }[] {
  return reader.segments().flatMap(({ kind, id, vaddr, pageCount }) =>
    Array.from({ length: pageCount }, (_, i) => ({
      target: { kind, id },
      vaddr: vaddr + BigInt(i * PAGE),
    })),
  );
}

/** `a` is whole in itself; `b` shares pages with it and has as many of its own as `a`. */
async function makeWorld(): Promise<World> {
  const fixture = await makeStore();
  await writeCheckpoint(fixture.store, 'a', { tenant: 't' });
  const writer = await fixture.store.begin('b', { tenant: 't', parent: 'a' });
  const own = await fixture.store.open('a').then(async (reader) => {
    const { pageCount, zeroPageCount } = reader.manifest;
    await reader.close();
    return pageCount - zeroPageCount;
  });
  for (let at = 0; at < own; at += 100) {
    const count = Math.min(100, own - at);
    await writer.addPages(OTHER, HEAP + BigInt((1000 + at) * PAGE), true, pages(count, 50_000 + at));
  }
  await writer.addImage('core-42.img', Buffer.from('CORE of 42'));
  await writer.commit({});
  const truth = new Map<string, Buffer>();
  for (const id of ['a', 'b']) {
    const reader = await fixture.store.open(id);
    for (const { target, vaddr } of everyPage(reader)) {
      truth.set(keyOf(id, target, vaddr), await reader.readPages(target, vaddr, 1));
    }
    await reader.close();
  }
  const path = (id: string, name: string) => join(fixture.directory, 'checkpoints', id, name);
  return { ...fixture, path, truth };
}

/** Ids of the pages that were refused; every other page must be right. */
async function readAll(world: World, id: string): Promise<{ refused: string[]; opened: boolean }> {
  let reader: CheckpointReader;
  try {
    reader = await world.store.open(id);
  } catch (error) {
    assert.ok(error instanceof OffloadError && REFUSALS.has(error.code), String(error));
    assert.match(error.message, new RegExp(`${id}`));
    return { refused: [], opened: false };
  }
  const refused: string[] = [];
  const into = Buffer.alloc(PAGE);
  for (const { target, vaddr } of everyPage(reader)) {
    const key = keyOf(id, target, vaddr);
    try {
      reader.readIntoSync(target, vaddr, 1, into);
      assert.ok(into.equals(world.truth.get(key)!), `a wrong byte in ${key}`);
    } catch (error) {
      if (!(error instanceof OffloadError)) throw error;
      assert.is(error.code, 'corrupt_page');
      assert.match(error.message, `${target.kind} ${target.id} page 0x${vaddr.toString(16)}`);
      refused.push(key);
    }
  }
  await reader.close();
  return { refused, opened: true };
}

/** Does damage, looks at both checkpoints, and undoes it. */
async function withDamage(
  world: World,
  names: [id: string, name: string][],
  damage: (files: Buffer[]) => Buffer[],
  look: (results: { a: Awaited<ReturnType<typeof readAll>>; b: Awaited<ReturnType<typeof readAll>> }) => void,
): Promise<void> {
  const paths = names.map(([id, name]) => world.path(id, name));
  const before = await Promise.all(paths.map((path) => readFile(path)));
  const after = damage(before.map((bytes) => Buffer.from(bytes)));
  try {
    await Promise.all(paths.map((path, i) => writeFile(path, after[i]!)));
    look({ a: await readAll(world, 'a'), b: await readAll(world, 'b') });
  } finally {
    await Promise.all(paths.map((path, i) => writeFile(path, before[i]!)));
  }
}

const ANY_FILE = fc.constantFrom('pages', 'index', 'checksums', 'manifest.json', 'images/core-42.img');

async function check<T>(
  arbitrary: fc.Arbitrary<T>,
  property: (world: World, value: T) => Promise<void>,
): Promise<void> {
  const world = await makeWorld();
  try {
    await fc.assert(
      fc.asyncProperty(arbitrary, (value) => property(world, value)),
      { numRuns: RUNS },
    );
  } finally {
    await world.remove();
  }
}

test('without damage every page of both comes', async () => {
  await check(fc.constant(undefined), (world) =>
    withDamage(
      world,
      [],
      () => [],
      ({ a, b }) => {
        assert.equal(
          [a, b],
          [0, 1].map(() => ({ refused: [], opened: true })),
        );
      },
    ),
  );
});

test('a flipped bit of a page is refused with the page named, in every checkpoint that has it', async () => {
  await check(fc.tuple(fc.nat(), fc.nat(7)), (world, [position, bit]) =>
    withDamage(
      world,
      [['a', 'pages']],
      ([file]) => {
        file![position % file!.length]! ^= 1 << bit;
        return [file!];
      },
      ({ a, b }) => {
        assert.is(a.refused.length, 1);
        assert.equal(b.refused, [a.refused[0]!.replace(/^a/, 'b')], 'it shares that page');
      },
    ),
  );
});

test('a flipped bit anywhere else is refused or harmless', async () => {
  await check(fc.tuple(ANY_FILE, fc.nat(), fc.nat(7)), (world, [name, position, bit]) =>
    withDamage(
      world,
      [['a', name]],
      ([file]) => {
        file![position % file!.length]! ^= 1 << bit;
        return [file!];
      },
      ({ a }) => {
        if (['index', 'checksums', 'manifest.json'].includes(name)) assert.is(a.opened, false);
      },
    ),
  );
});

test('zeroed pages are refused, each by its name', async () => {
  await check(fc.tuple(fc.nat(), fc.integer({ min: 1, max: 8 })), (world, [first, count]) => {
    let zeroed = 0;
    return withDamage(
      world,
      [['a', 'pages']],
      ([file]) => {
        const from = (first % (file!.length / PAGE)) * PAGE;
        const to = Math.min(file!.length, from + count * PAGE);
        zeroed = (to - from) / PAGE;
        return [file!.fill(0, from, to)];
      },
      ({ a }) => assert.is(a.refused.length, zeroed),
    );
  });
});

test('a truncated or longer file is refused by its name', async () => {
  await check(fc.tuple(ANY_FILE, fc.nat(), fc.boolean()), (world, [name, bytes, longer]) =>
    withDamage(
      world,
      [['a', name]],
      ([file]) => [
        longer ? Buffer.concat([file!, Buffer.from('\0')]) : file!.subarray(0, bytes % file!.length),
      ],
      ({ a, b }) => {
        assert.is(a.opened, false);
        if (name === 'pages') assert.is(b.opened, false);
      },
    ),
  );
});

test('two pages that changed places are both refused', async () => {
  await check(fc.tuple(fc.nat(), fc.nat()), (world, [one, two]) => {
    let same = false;
    return withDamage(
      world,
      [['a', 'pages']],
      ([file]) => {
        const count = file!.length / PAGE;
        const [from, to] = [(one % count) * PAGE, (two % count) * PAGE];
        const [x, y] = [Buffer.from(file!.subarray(from, from + PAGE)), file!.subarray(to, to + PAGE)];
        same = x.equals(y);
        file!.set(y, from);
        file!.set(x, to);
        return [file!];
      },
      ({ a }) => assert.is(a.refused.length, same ? 0 : 2),
    );
  });
});

test('files of two checkpoints that changed places are refused', async () => {
  await check(fc.uniqueArray(ANY_FILE, { minLength: 1, maxLength: 5 }), (world, names) =>
    withDamage(
      world,
      names.flatMap((name): [string, string][] => [
        ['a', name],
        ['b', name],
      ]),
      (files) => files.map((_, i) => files[i ^ 1]!),
      ({ a, b }) => {
        if (names.includes('images/core-42.img') && names.length === 1) return; // its own sha256 tells
        if (a.opened) assert.ok(a.refused.length > 0);
        if (b.opened) assert.ok(b.refused.length > 0);
      },
    ),
  );
});

test('an index that points elsewhere is refused, even when the manifest vouches for it', async () => {
  const world = await makeWorld();
  await withDamage(
    world,
    [
      ['b', 'index'],
      ['b', 'manifest.json'],
    ],
    ([index, manifest]) => {
      const originCount = index!.readUInt32LE(20);
      const last = index!.length - 24;
      assert.ok(originCount >= 2, 'pages of its own and shared ones');
      index!.writeUInt32LE(index!.readUInt32LE(last) === 0 ? 1 : 0, last); // another file
      const sha256 = createHash('sha256').update(index!).digest('hex');
      const value = JSON.parse(String(manifest));
      value.files.index.sha256 = sha256;
      delete value.sha256;
      return [index!, Buffer.from(encodeManifest(value))];
    },
    ({ b }) => assert.ok(!b.opened || b.refused.length > 0),
  );
  await world.remove();
});

test('an index of an unknown version is refused by name, even when the manifest vouches for it', async () => {
  const world = await makeWorld();
  const index = await readFile(world.path('a', 'index'));
  const value = JSON.parse(await readFile(world.path('a', 'manifest.json'), 'utf8'));
  index.writeUInt32LE(99, 8);
  value.files.index.sha256 = createHash('sha256').update(index).digest('hex');
  delete value.sha256;
  await writeFile(world.path('a', 'index'), index);
  await writeFile(world.path('a', 'manifest.json'), encodeManifest(value));
  await fails('incomplete_checkpoint', /index has format version 99, this program knows version 2/, () =>
    world.store.open('a'),
  );
  await world.remove();
});

test('a file that shrinks under an open reader is refused with file and page named', async () => {
  const world = await makeWorld();
  const reader = await world.store.open('a');
  const path = world.path('a', 'pages');
  const bytes = await readFile(path);
  await writeFile(path, bytes.subarray(0, 10 * PAGE));
  await fails('incomplete_checkpoint', /pages ends before page 66/, () => reader.readPages(TASK, HEAP, 64));
  await world.remove();
});

test.run();
