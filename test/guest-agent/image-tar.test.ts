import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import tar from 'tar-stream';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { isImage } from '../../guest-agent/dump.ts';
import { packImages, unpackImages } from '../../guest-agent/image-tar.ts';
import { rejection } from '../helpers/rejection.ts';
import { tempDirectory } from '../helpers/temp-directory.ts';

type Header = Parameters<tar.Pack['entry']>[0];
const root = tempDirectory('image-tar');

function targets() {
  const directory = mkdtempSync(join(root, 'case-'));
  mkdirSync(join(directory, 'images'));
  return { directory, images: join(directory, 'images'), rootfsDiff: join(directory, 'rootfs-diff.tar') };
}

function archive(...entries: [header: Header, content?: string][]): Readable {
  const pack = tar.pack();
  for (const [header, content] of entries) pack.entry(header, content ?? '');
  pack.finalize();
  return Readable.from(pack);
}

test('images and the rootfs diff come out as they went in, logs stay behind', async () => {
  const from = targets();
  writeFileSync(join(from.images, 'core-1.img'), 'core');
  writeFileSync(join(from.images, 'descriptors.json'), '[]');
  writeFileSync(join(from.images, 'empty.img'), '');
  writeFileSync(join(from.images, 'dump.log'), 'noise');
  writeFileSync(from.rootfsDiff, Buffer.alloc(200_000, 7));
  const to = targets();
  await unpackImages(packImages(from.images, from.rootfsDiff, isImage), to);
  assert.equal(readdirSync(to.images).sort(), ['core-1.img', 'descriptors.json', 'empty.img']);
  assert.is(readFileSync(join(to.images, 'core-1.img'), 'utf8'), 'core');
  assert.ok(readFileSync(to.rootfsDiff).equals(Buffer.alloc(200_000, 7)));
});

test('a container that changed nothing has no rootfs diff in its tar', async () => {
  const from = targets();
  writeFileSync(join(from.images, 'core-1.img'), 'core');
  const to = targets();
  await unpackImages(packImages(from.images, from.rootfsDiff, isImage), to);
  assert.not(existsSync(to.rootfsDiff));
});

test('a directory that is not there ends the pack with an error', async () => {
  const { directory, images } = targets();
  const pack = packImages(join(directory, 'none'), join(directory, 'none.tar'), isImage);
  const error = await unpackImages(pack, { images, rootfsDiff: join(directory, 'd') }).catch((e) => e);
  assert.match(String(error), /ENOENT/);
});

const hostile: [why: string, header: Header][] = [
  ['a path that leads out', { name: '../evil' }],
  ['a path that leads out of the images', { name: 'images/../../evil' }],
  ['an absolute path', { name: '/etc/passwd' }],
  ['a directory below the images', { name: 'images/sub/core.img' }],
  ['a name with other characters', { name: 'images/a b' }],
  ['a hidden file', { name: 'images/.hidden' }],
  ['another file', { name: 'rootfs.tar' }],
  ['a symbolic link', { name: 'images/link.img', type: 'symlink', linkname: '/etc/passwd' }],
  ['a directory', { name: 'images/dir.img', type: 'directory' }],
];
for (const [why, header] of hostile) {
  test(`${why} is refused and nothing is written`, async () => {
    const to = targets();
    const error = await rejection(unpackImages(archive([header]), to));
    assert.is(error.code, 'invalid_request');
    assert.ok(error.message.startsWith(`images tar: `), error.message);
    assert.equal(readdirSync(to.images), []);
    assert.equal(readdirSync(to.directory), ['images']);
  });
}

test('an image of more than 64 MiB is refused by what its header says', async () => {
  const to = targets();
  const pack = tar.pack();
  pack.entry({ name: 'images/core-1.img', size: 64 * 1024 * 1024 + 1 }).on('error', () => {});
  const error = await rejection(unpackImages(Readable.from(pack), to));
  assert.is(error.code, 'invalid_request');
  assert.is(error.message, 'images tar: images/core-1.img has 67108865 bytes, limit 67108864 bytes');
});

test('a tar that breaks off is an error', async () => {
  const to = targets();
  const bytes = await buffer(archive([{ name: 'images/core-1.img' }, 'x'.repeat(10_000)]));
  const error = await unpackImages(Readable.from([bytes.subarray(0, 5_000)]), to).then(
    () => undefined,
    (e: Error) => e,
  );
  assert.ok(error, 'half a file is no file');
});

test.run();
