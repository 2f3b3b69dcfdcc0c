import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { checkLayer, type LayerTotals } from '../../../offload-plane/images/layer-check.ts';
import { DEFAULT_IMAGE_LIMITS, type ImageLimits } from '../../../offload-plane/images/limits.ts';
import { rejection } from '../../helpers/rejection.ts';
import { tempDirectory } from '../../helpers/temp-directory.ts';
import { digestOf, type Entry, makeTar } from './layout-fixture.ts';

const path = join(tempDirectory('images'), 'layer');

async function check(tar: Buffer, options: { limits?: Partial<ImageLimits>; diffId?: string } = {}) {
  writeFileSync(path, gzipSync(tar));
  const totals: LayerTotals = { unpackedBytes: 0, entryCount: 0, storedBytes: 0, mtimeMaxS: 0 };
  await checkLayer(
    {
      subject: 'import image x: layer y',
      path,
      gzipped: true,
      diffId: options.diffId ?? digestOf(tar),
      limits: { ...DEFAULT_IMAGE_LIMITS, ...options.limits },
      signal: new AbortController().signal,
    },
    totals,
  );
  return totals;
}

const checkEntries = async (...entries: Entry[]) => await check(await makeTar(entries));

test('a layer is measured: bytes, entries and its latest modification time', async () => {
  const totals = await checkEntries(
    { name: 'a/', mtime: new Date(5_000_000) },
    { name: 'a/b', content: 'x', mtime: new Date(9_000_000) },
    { name: 'c', type: 'link', linkname: 'a/b', content: '' },
    { name: 'd', type: 'symlink', linkname: '../../..', content: '' },
    { name: 'e', type: 'character-device', devmajor: 1, devminor: 3, content: '' },
  );
  assert.is(totals.entryCount, 5);
  assert.ok(totals.unpackedBytes >= 512 * 6);
  assert.ok(totals.mtimeMaxS >= 9_000);
});

test('an entry or hard link that leads out of the root filesystem is refused by name', async () => {
  const outside = await rejection(checkEntries({ name: 'a/../../etc/cron.d/x', content: 'x' }));
  assert.is(outside.code, 'invalid_image');
  assert.match(outside.message, 'entry "a/../../etc/cron.d/x": leads out of the root filesystem');
  const link = await rejection(
    checkEntries({ name: 'x', type: 'link', linkname: '../../etc/shadow', content: '' }),
  );
  assert.match(link.message, 'links to "../../etc/shadow", out of the root filesystem');
});

test('a layer that grows beyond the limit is stopped on the way', async () => {
  const tar = await makeTar([{ name: 'zeros', content: Buffer.alloc(8_000_000) }]);
  const error = await rejection(check(tar, { limits: { unpackedBytesMax: 1_000_000 } }));
  assert.match(error.message, 'the image unpacks to more than 1000000 bytes');
});

test('a layer that grows out of proportion is stopped, once it is large at all', async () => {
  const tar = await makeTar([{ name: 'zeros', content: Buffer.alloc(4_000_000) }]);
  const limits = { ratioFreeBytes: 1_000_000, unpackRatioMax: 100 };
  assert.match((await rejection(check(tar, { limits }))).message, 'unpacks to more than 100 times its');
  await check(tar, { limits: { ...limits, unpackRatioMax: 2_000 } });
  await check(tar, { limits: { ...limits, ratioFreeBytes: 5_000_000 } });
});

test('a device is refused but for those that every container has anyway', async () => {
  for (const type of ['block-device', 'character-device'] as const) {
    const error = await rejection(
      checkEntries({ name: 'dev/x', type, devmajor: 8, devminor: 0, content: '' }),
    );
    assert.match(error.message, 'entry "dev/x": is the device 8:0');
  }
  await checkEntries({ name: 'dev/zero', type: 'character-device', devmajor: 1, devminor: 5, content: '' });
});

test('attributes of overlay file systems are refused', async () => {
  const pax = { 'SCHILY.xattr.trusted.overlay.redirect': '/../../etc' };
  const error = await rejection(checkEntries({ name: 'a', content: 'x', pax }));
  assert.match(error.message, 'has an attribute of overlay file systems');
});

test('a tree deeper than any that people make is refused', async () => {
  await checkEntries({ name: `${'d/'.repeat(127)}f`, content: 'x' });
  const error = await rejection(checkEntries({ name: `${'d/'.repeat(128)}f`, content: 'x' }));
  assert.match(error.message, 'leads out of the root filesystem');
});

test('more entries than the limit are refused', async () => {
  const tar = await makeTar([{ name: 'a/' }, { name: 'b/' }, { name: 'c/' }]);
  const error = await rejection(check(tar, { limits: { entryCountMax: 2 } }));
  assert.match(error.message, 'more than 2 entries in the image');
});

test('a sparse file, whose size is not what its length says, is refused', async () => {
  const pax = { 'GNU.sparse.realsize': '999999999999' };
  const error = await rejection(checkEntries({ name: 'big', content: 'x', pax }));
  assert.match(error.message, 'is a sparse file');
});

test('a layer that is not what the config promises is refused', async () => {
  const tar = await makeTar([{ name: 'a/' }]);
  const diffId = `sha256:${'0'.repeat(64)}`;
  const error = await rejection(check(tar, { diffId }));
  assert.is(error.code, 'digest_mismatch');
  assert.match(error.message, `the config says ${diffId}`);
});

test('a layer that is no tar is refused', async () => {
  const tar = await makeTar([{ name: 'a', content: 'x'.repeat(2000) }]);
  assert.match((await rejection(check(tar.subarray(0, 1000)))).message, 'is not a readable tar');
});

test.run();
