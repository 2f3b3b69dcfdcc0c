import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { expandLayoutTar } from '../../../offload-plane/images/layout-tar.ts';
import { DEFAULT_IMAGE_LIMITS, type ImageLimits } from '../../../offload-plane/images/limits.ts';
import { rejection } from '../../helpers/rejection.ts';
import { tempDirectory } from '../../helpers/temp-directory.ts';
import { type Entry, makeTar } from './layout-fixture.ts';

const scratch = tempDirectory('images');
let runCount = 0;

async function expand(tar: Buffer, limits: Partial<ImageLimits> = {}): Promise<string> {
  runCount += 1;
  const tarPath = join(scratch, `${runCount}.tar`);
  const destination = join(scratch, `expanded-${runCount}`);
  writeFileSync(tarPath, tar);
  mkdirSync(destination);
  await expandLayoutTar({
    subject: 'import image x.tar',
    tarPath,
    destination,
    limits: { ...DEFAULT_IMAGE_LIMITS, ...limits },
    signal: new AbortController().signal,
  });
  return destination;
}

const expandEntries = async (entries: Entry[], limits?: Partial<ImageLimits>) =>
  await expand(await makeTar(entries), limits);

test('only what a layout consists of is written', async () => {
  const blob = `blobs/sha256/${'a'.repeat(64)}`;
  const destination = await expandEntries([
    { name: './' },
    { name: './oci-layout', content: '{}' },
    { name: 'manifest.json', content: '[]' },
    { name: blob, content: 'x' },
    { name: `blobs/sha256/${'A'.repeat(64)}`, content: 'x' },
  ]);
  assert.ok(existsSync(join(destination, 'oci-layout')));
  assert.ok(existsSync(join(destination, blob)));
  assert.not(existsSync(join(destination, 'manifest.json')));
});

test('an entry that leads out of the layout is refused by name', async () => {
  for (const name of ['../evil', 'blobs/../../evil']) {
    const error = await rejection(expandEntries([{ name, content: 'x' }]));
    assert.is(error.code, 'invalid_image');
    assert.is(error.message, `import image x.tar: tar entry "${name}": leads out of the layout`);
  }
});

test('links are refused, whatever they point at', async () => {
  const symlink = await rejection(
    expandEntries([{ name: 'oci-layout', type: 'symlink', linkname: '/etc/passwd', content: '' }]),
  );
  assert.match(symlink.message, 'is a symlink, a layout has only files and directories');
  const link = await rejection(expandEntries([{ name: 'x', type: 'link', linkname: 'y', content: '' }]));
  assert.match(link.message, 'is a link');
});

test('a header that claims an absurd size is refused with the limit', async () => {
  const tar = await makeTar([{ name: 'index.json', content: 'x' }]);
  // Size and checksum fields of the header: octal digits.
  tar.write('77777777777\0', 124, 'latin1');
  tar.fill(' ', 148, 156);
  const sum = tar.subarray(0, 512).reduce((total, byte) => total + byte, 0);
  tar.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  const error = await rejection(expand(tar, { imageBytesMax: 1_000_000 }));
  assert.match(error.message, 'the limit is 1000000 bytes');
  // Below the limit it is simply not all there.
  assert.match((await rejection(expand(tar))).message, 'is not a readable tar');
});

test('more entries than the limit are refused', async () => {
  const entries = Array.from({ length: 5 }, (_, index) => ({ name: `f${index}`, content: '' }));
  const error = await rejection(expandEntries(entries, { layoutEntryCountMax: 4 }));
  assert.match(error.message, 'more than 4 entries');
});

test('a second entry of the same name does not overwrite the first', async () => {
  const entry = { name: 'index.json', content: '{}' };
  assert.match((await rejection(expandEntries([entry, entry]))).message, 'appears twice');
});

test('what is no plain tar is called so', async () => {
  const tar = await makeTar([{ name: 'index.json', content: 'x'.repeat(3000) }]);
  assert.match((await rejection(expand(tar.subarray(0, 1500)))).message, 'is not a readable tar');
  assert.match((await rejection(expand(gzipSync(tar)))).message, 'is gzipped; a layout comes as a plain tar');
  assert.match((await rejection(expand(Buffer.alloc(1024, 'garbage')))).message, 'is not a readable tar');
});

test('a tar above the size limit is not even begun', async () => {
  const error = await rejection(
    expandEntries([{ name: 'index.json', content: 'x' }], { imageBytesMax: 100 }),
  );
  assert.match(error.message, /bytes, the limit is 100 bytes/);
});

test.run();
