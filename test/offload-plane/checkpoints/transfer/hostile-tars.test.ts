/** Tars that are no checkpoints: each is refused by what is wrong with it, and leaves nothing in the store. */
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import fc from 'fast-check';
import tar from 'tar-stream';
import * as assert from 'uvu/assert';
import { exportTar } from '../../../../offload-plane/checkpoints/transfer/export.ts';
import { importTar } from '../../../../offload-plane/checkpoints/transfer/import.ts';
import type { OrderEntry } from '../../../../offload-plane/order-log/contract.ts';
import { encodeOrder } from '../../../../offload-plane/order-log/format.ts';
import { loadOrderLog } from '../../../../offload-plane/order-log/load.ts';
import { encodePagemapImage } from '../../../../offload-plane/page-server/pagemap-image.ts';
import type { PageStore } from '../../../../offload-plane/page-store/contract.ts';
import { OffloadError } from '../../../../platform/errors.ts';
import { xxh64 } from '../../../../platform/xxhash.ts';
import { PAGE, writeCriuCheckpoint } from '../../../helpers/criu-checkpoint.ts';
import { RECIPE } from '../../../helpers/plane-parts.ts';
import { rejection } from '../../../helpers/rejection.ts';
import { suite } from '../../../helpers/suite.ts';
import { makeStore } from '../../page-store/fixture.ts';

interface Entry {
  header: tar.Header;
  body: Buffer;
}
const test = suite<{ store: PageStore; remove: () => Promise<void>; exported: Buffer; entries: Entry[] }>(
  'hostile tars',
);
const CODES = [
  'invalid_checkpoint',
  'digest_mismatch',
  'page_protocol_violation',
  'no_space',
  'invalid_request',
];
const EXISTING = 'already_exists';
const FLAGS = { PARENT: 1, LAZY: 2, PRESENT: 4 };
const at = 0x7f9e_b46f_b000n;

test.before(async (context) => {
  const { store, remove } = await makeStore();
  await writeCriuCheckpoint(store, 'redis');
  const reader = await store.open('redis');
  context.exported = await buffer(exportTar({ reader, recipe: RECIPE, guest: 'origin' }));
  await reader.close();
  await remove();
  context.entries = await unpack(context.exported);
  Object.assign(context, await makeStore());
});
test.after(async ({ remove }) => await remove());

async function unpack(bytes: Buffer): Promise<Entry[]> {
  const entries: Entry[] = [];
  const extract = Readable.from([bytes]).pipe(tar.extract());
  for await (const entry of extract) {
    entries.push({ header: entry.header, body: await buffer(Readable.from(entry)) });
  }
  return entries;
}

async function pack(entries: readonly Entry[]): Promise<Buffer> {
  const packed = tar.pack();
  for (const { header, body } of entries) {
    const { name, type, linkname, mode } = header;
    const kept = {
      name,
      ...(type ? { type } : {}),
      ...(linkname ? { linkname } : {}),
      ...(mode ? { mode } : {}),
    };
    packed.entry(kept, body);
  }
  packed.finalize();
  return await buffer(Readable.from(packed));
}

const file = (name: string, body: Buffer | string = 'x'): Entry => ({
  header: { name, type: 'file' } as tar.Header,
  body: Buffer.from(body),
});

async function assertRefused(store: PageStore, entries: readonly Entry[], message: RegExp): Promise<void> {
  const error = await rejection(importTar(store, Readable.from([await pack(entries)]), {}));
  assert.ok([...CODES, EXISTING].includes(error.code), `${error.code}: ${error.message}`);
  assert.match(error.message, message);
  assert.not.match(error.message, /\n/);
  assert.equal(await store.list(), []);
  assert.is(store.usedBytes, 0);
}

const without = (entries: readonly Entry[], name: string) =>
  entries.filter(({ header }) => header.name !== name);
const withBody = (entries: readonly Entry[], name: string, body: Buffer): Entry[] =>
  entries.map((entry) => (entry.header.name === name ? { ...entry, body } : entry));

test('paths that lead out, links, devices and files that do not belong there are refused by name', async ({
  store,
  entries,
}) => {
  const special = (name: string, type: 'symlink' | 'link' | 'character-device' | 'fifo'): Entry => ({
    header: { name, type, linkname: '/etc/passwd' } as tar.Header,
    body: Buffer.alloc(0),
  });
  const cases: [Entry, RegExp][] = [
    [file('../../etc/passwd'), /leads out of the checkpoint/],
    [file('/etc/passwd'), /leads out of the checkpoint/],
    [file('checkpoint/../../x'), /leads out of the checkpoint/],
    [special('checkpoint/link.img', 'symlink'), /is a symlink/],
    [special('checkpoint/hard.img', 'link'), /is a link/],
    [special('checkpoint/null', 'character-device'), /is a character-device/],
    [special('checkpoint/pipe', 'fifo'), /is a fifo/],
    [file('checkpoint/deep/er.img'), /does not belong/],
    [file('dump.log'), /does not belong/],
    [file('checkpoint/.hidden'), /no plain name/],
    [file('checkpoint/core-1.img'), /there already/],
  ];
  for (const [entry, message] of cases) await assertRefused(store, [...entries, entry], message);
});

test('what a manifest has to say is asked for first, and checked', async ({ store, entries }) => {
  const [manifest, ...rest] = entries;
  await assertRefused(store, rest, /config\.dump" comes first/);
  await assertRefused(store, [], /manifest\.json" is missing/);
  const said = JSON.parse(manifest!.body.toString());
  const changed = (value: unknown) =>
    withBody(entries, 'offload/manifest.json', Buffer.from(JSON.stringify(value)));
  await assertRefused(store, changed({ ...said, version: 9 }), /does not fit/);
  await assertRefused(store, changed({ ...said, more: 1 }), /does not fit/);
  await assertRefused(store, changed({ ...said, id: '../up' }), /does not fit/);
  const withSpec = (spec: object) =>
    changed({ ...said, recipe: { ...said.recipe, spec: { ...said.recipe.spec, ...spec } } });
  await assertRefused(store, withSpec({ address: '10.88.0.1/16' }), /which no container has/);
  await assertRefused(store, withSpec({ address: '8.8.8.8/16' }), /which no container has/);
  await assertRefused(store, withSpec({ id: 'x' }), /does not fit/);
  await assertRefused(store, withBody(entries, 'offload/manifest.json', Buffer.from('{')), /is no JSON/);
});

test('pages come after a pagemap that wants as many of them, once', async ({ store, entries }) => {
  const pages = entries.find(({ header }) => header.name === 'checkpoint/pages-1.img')!;
  const pagemap = (list: Parameters<typeof encodePagemapImage>[1], pagesId = 1) =>
    withBody(entries, 'checkpoint/pagemap-1.img', encodePagemapImage(pagesId, list));
  await assertRefused(store, without(entries, 'checkpoint/pagemap-1.img'), /before a pagemap/);
  await assertRefused(store, without(entries, 'checkpoint/pages-1.img'), /pages-1\.img" is missing/);
  await assertRefused(store, [...entries, pages], /before a pagemap/);
  const one = { vaddr: at, pageCount: 1, flags: FLAGS.PRESENT };
  await assertRefused(store, pagemap([one]), /its pagemap wants 4096 bytes/);
  await assertRefused(store, pagemap([{ ...one, pageCount: 2 ** 41 }]), /its pagemap wants|has a run of/);
  await assertRefused(store, pagemap([{ ...one, flags: FLAGS.PARENT }]), /earlier dump/);
  await assertRefused(store, pagemap([{ ...one, flags: FLAGS.LAZY }]), /lacks pages/);
  const count = pages.body.length / PAGE;
  await assertRefused(store, pagemap([{ ...one, vaddr: at + 1n, pageCount: count }]), /page|align/);
  const half = { ...one, pageCount: count - 1 };
  await assertRefused(store, pagemap([half, one]), /twice/);
});

test('an order log that names a page again and again, one that is not there, or times that never were, adds nothing', async ({
  store,
  entries,
}) => {
  const digest = JSON.parse(entries[0]!.body.toString()).digest as string;
  const withOrder = (log: Buffer) => [...without(entries, 'offload/order'), file('offload/order', log)];
  const imported = async (list: readonly OrderEntry[], change = (log: Buffer) => log) => {
    const tar = await pack(withOrder(change(encodeOrder(digest, list))));
    const { id } = await importTar(store, Readable.from([tar]), {});
    const reader = await store.open(id);
    const loaded = await loadOrderLog(reader);
    const { storedBytes } = reader.manifest;
    await reader.close();
    const usedBytes = store.usedBytes;
    await store.remove(id);
    return { count: 'log' in loaded ? loaded.log.entries.length : 0, extraBytes: usedBytes - storedBytes };
  };
  const entry = { task: 1, vaddr: at, timeUs: 1 };
  const once = await imported([entry]);
  assert.is(once.count, 1);
  const often = await imported(Array.from({ length: 20_000 }, () => entry));
  assert.is(often.count, 1);
  assert.ok(
    often.extraBytes <= once.extraBytes,
    `${often.extraBytes} bytes, ${once.extraBytes} without repeats`,
  );
  assert.is((await imported([entry, { ...entry, vaddr: 0x1000n }])).count, 0);
  const latest = await imported([entry], (log) => {
    log.writeBigUInt64LE(2n ** 64n - 1n, 64);
    log.writeBigUInt64LE(xxh64(log.subarray(0, log.length - 8)), log.length - 8);
    return log;
  });
  assert.is(latest.count, 1);
  assert.equal(await store.list(), []);
});

test('a tar with anything changed in it is imported as it was, or refused by a named error', async ({
  store,
  exported,
}) => {
  const size = exported.length;
  const change = fc.tuple(fc.nat(size - 1), fc.constantFrom(0, 1, 0x2f, 0x7f, 0xff), fc.nat(600));
  await fc.assert(
    fc.asyncProperty(change, fc.boolean(), async ([place, byte, count], cut) => {
      const bytes = cut
        ? Buffer.concat([exported.subarray(0, place), exported.subarray(place + count)])
        : Buffer.from(exported);
      if (!cut) bytes.fill(byte, place, Math.min(size, place + (count % 8) + 1));
      try {
        const { id } = await importTar(store, Readable.from([bytes]), {});
        await store.remove(id);
      } catch (error) {
        assert.instance(error, OffloadError, String(error));
        assert.ok(CODES.includes((error as OffloadError).code), String(error));
      }
      assert.equal(await store.list(), []);
      assert.is(store.usedBytes, 0);
    }),
    { numRuns: 80 },
  );
});

test.run();
