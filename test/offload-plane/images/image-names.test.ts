import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { checkName, NAMES_FILE, openImageNames } from '../../../offload-plane/images/image-names.ts';
import { rejection } from '../../helpers/rejection.ts';
import { tempDirectory } from '../../helpers/temp-directory.ts';

const directory = tempDirectory('images');
const digests = new Set(['sha256:a', 'sha256:b']);
const open = async () => await openImageNames({ directory, digests, nameCountMax: 2 });

test('a name moves from one image to another and is kept across an open', async () => {
  const names = await open();
  await names.assign(['web'], 'sha256:a');
  await names.assign(['web'], 'sha256:b');
  assert.equal(names.of('sha256:a'), []);
  assert.is((await open()).digestOf('web'), 'sha256:b');
});

test('more names than the limit are refused', async () => {
  const names = await open();
  await names.assign(['two'], 'sha256:a');
  assert.match((await rejection(names.assign(['three'], 'sha256:a'))).message, 'the limit is 2 names');
});

test('names of images that are gone are forgotten', async () => {
  const names = await openImageNames({ directory, digests: new Set(['sha256:a']), nameCountMax: 2 });
  assert.is(names.digestOf('web'), undefined);
  assert.is(names.digestOf('two'), 'sha256:a');
});

test('a damaged file is named, and not overwritten', async () => {
  const path = join(directory, NAMES_FILE);
  writeFileSync(path, '{"names"');
  assert.match((await rejection(open())).message, `${path}: is damaged`);
  assert.is(readFileSync(path, 'utf8'), '{"names"');
});

test('a name is made of letters, digits and single separators', () => {
  for (const name of ['redis', 'a/b:c', 'x__y', 'Node-24.1']) checkName(name, 'import');
  for (const name of ['', '../x', 'a//', '-x', 'a b', 'sha256:abc', 'x'.repeat(201)]) {
    assert.throws(() => checkName(name, 'import'), /the image name/, name);
  }
});

test.run();
