import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { restrainHugePages } from '../../guest-agent/huge-pages.ts';
import { tempDirectory } from '../helpers/temp-directory.ts';

const directory = tempDirectory('huge-pages');
const path = join(directory, 'enabled');

test('always becomes madvise', async () => {
  writeFileSync(path, '[always] madvise never\n');
  await restrainHugePages(path);
  assert.is(readFileSync(path, 'utf8'), 'madvise');
});

test('another setting stays as it is', async () => {
  for (const setting of ['always [madvise] never\n', 'always madvise [never]\n']) {
    writeFileSync(path, setting);
    chmodSync(path, 0o400);
    await restrainHugePages(path);
    assert.is(readFileSync(path, 'utf8'), setting);
    chmodSync(path, 0o600);
  }
});

test('a kernel without the feature is fine', async () => {
  await restrainHugePages(join(directory, 'none'));
});

test.run();
