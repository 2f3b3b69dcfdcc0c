import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { offload } from '../../helpers/offload-program.ts';
import { HEAP, makeStore, PAGE, writeCheckpoint } from '../page-store/fixture.ts';

const storeCommand = (...args: string[]) => offload(['store', ...args]);

test('ls and verify look at a store that a plane has open', async () => {
  const { directory, store, remove } = await makeStore();
  const manifest = await writeCheckpoint(store, 'warm', { tenant: 't' });
  await writeCheckpoint(store, 'second', { tenant: 't', parent: 'warm' });
  await store.pin('warm');
  const listed = await storeCommand('ls', '--store', directory, '--json');
  const entries = JSON.parse(listed.stdout);
  assert.equal(entries.map(({ id }: { id: string }) => id).sort(), ['second', 'warm']);
  const warm = entries.find(({ id }: { id: string }) => id === 'warm');
  assert.is(warm.pageCount, manifest.pageCount);
  assert.is(warm.pinned, true);
  assert.match((await storeCommand('ls', '--store', directory)).stdout, /^ID +LASTUSEDAT +PINNED/);
  const verified = await storeCommand('verify', '--store', directory, '--json');
  assert.is(verified.exitCode, 0, verified.stderr);
  assert.equal(
    JSON.parse(verified.stdout).map(({ damage }: { damage: string[] }) => damage),
    [[], []],
  );
  await remove();
});

test('verify names the damaged page in each checkpoint that has it, and fails', async () => {
  const { directory, store, remove } = await makeStore();
  await writeCheckpoint(store, 'warm', { tenant: 't' });
  await writeCheckpoint(store, 'child', { tenant: 't' });
  await writeCheckpoint(store, 'foreign', { tenant: 'other' });
  const path = join(directory, 'checkpoints/warm/pages');
  const bytes = await readFile(path);
  bytes[(3 + 57) * PAGE + 99]! ^= 4; // 3 stored pages of data come before the heap
  await writeFile(path, bytes);
  const image = join(directory, 'checkpoints/foreign/images/core-42.img');
  await writeFile(image, 'CORE of 42');
  const { exitCode, stdout, stderr } = await storeCommand('verify', '--store', directory, '--json');
  assert.is(exitCode, 1);
  assert.match(stderr, /^offload: page store verify: damaged: child, foreign, warm$/);
  const page = `task 42 page 0x${(HEAP + BigInt(57 * PAGE)).toString(16)} does not have its checksum`;
  assert.equal(
    JSON.parse(stdout).map(({ damage }: { damage: string[] }) => damage),
    [[page], ['images/core-42.img does not have its sha256'], [page]],
  );
  const one = await storeCommand('verify', 'foreign', '--store', directory);
  assert.match(one.stdout, /foreign .*core-42/);
  assert.match((await storeCommand('verify', 'none', '--store', directory)).stderr, /no checkpoint none/);
  await remove();
});

test('gc is refused while a plane has the store, then removes leftovers and evicts to a size', async () => {
  const { directory, store, remove } = await makeStore();
  for (const id of ['a', 'b']) await writeCheckpoint(store, id);
  await store.pin('b');
  const refused = await storeCommand('gc', '--store', directory);
  assert.is(refused.exitCode, 1);
  assert.match(refused.stderr, new RegExp(`^offload: .*process ${process.pid} has this store open$`));
  await store.close();
  await mkdir(join(directory, 'incoming/crashed'));
  await writeFile(join(directory, 'incoming/crashed/pages'), 'x');
  await writeFile(join(directory, 'checkpoints/a/order.tmp'), 'x');
  const swept = await storeCommand('gc', '--store', directory, '--json');
  assert.equal(JSON.parse(swept.stdout)[0].evicted, []);
  assert.is(JSON.parse(swept.stdout)[0].leftoversRemoved, 1);
  assert.not((await readdir(join(directory, 'checkpoints/a'))).includes('order.tmp'));
  const evicted = await storeCommand('gc', '--store', directory, '--json', '--to-bytes', '0');
  assert.equal(JSON.parse(evicted.stdout)[0].evicted, ['a']);
  assert.is(evicted.exitCode, 1);
  assert.match(evicted.stderr, /bytes are left, more than 0 bytes: the rest is pinned or shared/);
  assert.equal(await readdir(join(directory, 'checkpoints')), ['b']);
  await remove();
});

test('a directory that is no store is said to be none, and stays as it was', async () => {
  const { directory, remove } = await makeStore();
  const empty = join(directory, 'images');
  await mkdir(empty);
  for (const verb of ['ls', 'verify', 'gc']) {
    const { exitCode, stderr } = await storeCommand(verb, '--store', empty);
    assert.is(exitCode, 1);
    assert.match(stderr, /there is no page store in this directory/);
  }
  assert.equal(await readdir(empty), []);
  await remove();
});

test.run();
