import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { recipesHash } from '../../../testbed/images/build-demo-images.ts';
import { machineAptSettings, mmdebstrapArgv, treeSources } from '../../../testbed/images/debian-tree.ts';
import { parseLoaderList } from '../../../testbed/images/library-closure.ts';
import { configArgv } from '../../../testbed/images/oci-layout.ts';
import { nodeRecipe, redisRecipe } from '../../../testbed/images/recipes.ts';
import { tempDirectory } from '../../helpers/temp-directory.ts';

const scratch = tempDirectory('images');

function nodeSources(name: string, serverText: string) {
  const directory = join(scratch, name);
  mkdirSync(directory);
  writeFileSync(join(directory, 'node'), 'binary');
  writeFileSync(join(directory, 'server.mjs'), serverText);
  writeFileSync(join(directory, 'records.mjs'), '');
  return { nodeBinary: join(directory, 'node'), serverDirectory: directory };
}

test('the hash depends on what is in the images, and not on where it was found', async () => {
  const one = await recipesHash([nodeRecipe(nodeSources('one', 'a'))]);
  assert.is(await recipesHash([nodeRecipe(nodeSources('two', 'a'))]), one);
  assert.is.not(await recipesHash([nodeRecipe(nodeSources('three', 'b'))]), one);
  assert.is.not(await recipesHash([redisRecipe()]), one);
});

test("the Debian tree comes from the machine's mirror, security fixes included", () => {
  const mirror = { archiveUri: 'http://m/debian', securityUri: 'http://s/sec', codename: 'bookworm' };
  assert.equal(treeSources(mirror, '/k.gpg'), [
    'deb [signed-by=/k.gpg] http://m/debian trixie main',
    'deb [signed-by=/k.gpg] http://s/sec trixie-security main',
  ]);
  const dump =
    'Acquire::http::Proxy "http://p";\nAPT::Sandbox::User "_apt";\nAcquire::Check-Valid-Until "false";';
  const aptSettings = machineAptSettings(dump);
  assert.equal(aptSettings, ['Acquire::http::Proxy "http://p";', 'Acquire::Check-Valid-Until "false";']);
  const argv = mmdebstrapArgv({ directory: '/d', packages: ['a', 'b'], sources: ['deb x'], aptSettings });
  assert.equal(argv.slice(3), [
    '--include=a,b',
    ...aptSettings.map((line) => `--aptopt=${line}`),
    'trixie',
    '/d',
    'deb x',
  ]);
});

test("the loader's list becomes paths below the tree", () => {
  const listing = [
    '\tlinux-vdso.so.1 (0x00007fe25022f000)',
    '\tlibz.so.1 => /t/usr/lib/x86_64-linux-gnu/libz.so.1 (0x00007f388dac0000)',
    '\t/lib64/ld-linux-x86-64.so.2 => /t/lib64/ld-linux-x86-64.so.2 (0x00007f388f002000)',
  ].join('\n');
  assert.equal(parseLoaderList(listing, '/t', 'redis'), ['usr/lib/x86_64-linux-gnu/libz.so.1']);
  for (const found of ['not found', '/usr/lib/libz.so.1 (0x1)']) {
    assert.throws(() => parseLoaderList(`\tlibz.so.1 => ${found}`, '/t', 'redis'), /redis needs libz.so.1/);
  }
});

test('no argument of a container is empty, for umoci would drop it', () => {
  const recipes = [redisRecipe(), nodeRecipe({ nodeBinary: '/n', serverDirectory: '/s' })];
  assert.not(recipes.flatMap(configArgv).includes(''));
});

test('a command in the place of the image’s own is all that runs, so that `run redis sh` is a shell', () => {
  const recipes = [redisRecipe(), nodeRecipe({ nodeBinary: '/n', serverDirectory: '/s' })];
  assert.not(recipes.flatMap(configArgv).includes('--config.entrypoint'));
  for (const { links } of recipes) assert.is(links['usr/bin/ls'], 'busybox');
});

test.run();
