import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { RunTool } from '../../../offload-plane/images/run-tool.ts';
import { openVolumeStore } from '../../../offload-plane/volumes/volume-store.ts';
import { OffloadError } from '../../../platform/errors.ts';
import { rejection } from '../../helpers/rejection.ts';
import { tempDirectory } from '../../helpers/temp-directory.ts';

const MIB = 1024 * 1024;
const fresh = () => tempDirectory('volumes');
const unused = () => {};
/** For what must be refused before a tool is run, or where the file system does not matter. */
const noTool: RunTool = async () => '';

test('a volume is a whole, empty ext4 file system of its size that takes next to nothing', async () => {
  const directory = fresh();
  const store = await openVolumeStore({ directory });
  const record = await store.create({ name: 'data', sizeBytes: 64 * MIB + 1 });
  assert.is(record.sizeBytes, 64 * MIB + 4096);
  assert.is(statSync(record.path).size, record.sizeBytes);
  assert.is(statSync(record.path).mode & 0o777, 0o600);
  assert.ok(record.usedBytes < 8 * MIB, `${record.usedBytes} bytes`);
  const check = spawnSync('/sbin/e2fsck', ['-f', '-n', record.path], { encoding: 'utf8' });
  assert.is(check.status, 0, check.stdout);
  assert.equal(await (await openVolumeStore({ directory })).list(), [record]);
});

test('a reserved volume has all of its size from the beginning', async () => {
  const store = await openVolumeStore({ directory: fresh() });
  const record = await store.create({ name: 'data', sizeBytes: 32 * MIB, reserved: true });
  assert.ok(record.usedBytes >= 32 * MIB, `${record.usedBytes} bytes`);
});

test('a name is taken once, also by two who ask at the same time', async () => {
  const store = await openVolumeStore({ directory: fresh(), run: noTool });
  const both = await Promise.allSettled([store.create({ name: 'data' }), store.create({ name: 'data' })]);
  assert.equal(
    both.map(({ status }) => status),
    ['fulfilled', 'rejected'],
  );
  assert.is((await rejection(store.create({ name: 'data' }))).code, 'already_exists');
  assert.is((await store.create({ name: 'other' })).sizeBytes, 1024 * MIB);
});

test('sizes and counts beyond the limits are refused with the limit', async () => {
  const directory = fresh();
  const limits = { sizeBytesMin: 10, sizeBytesMax: 20, volumeCountMax: 0 };
  const store = await openVolumeStore({ directory, run: noTool, limits });
  for (const sizeBytes of [9, 21, 10.5, Number.NaN, -1]) {
    const error = await rejection(store.create({ name: 'data', sizeBytes }));
    assert.is(error.code, 'invalid_request');
    assert.match(error.message, 'a volume has 10 to 20 bytes');
  }
  assert.is((await rejection(store.create({ name: 'data', sizeBytes: 10 }))).code, 'no_space');
  assert.equal(readdirSync(directory), []);
});

test('whatever a volume is called, nothing is written outside of the directory', async () => {
  const parent = fresh();
  const directory = join(parent, 'volumes');
  const store = await openVolumeStore({ directory, run: noTool });
  const name = fc.oneof(
    fc.string({ unit: fc.constantFrom('.', '/', 'a', '0', '-', '\0', '_', 'A', ' ') }),
    fc.string({ unit: 'binary', maxLength: 80 }),
  );
  await fc.assert(
    fc.asyncProperty(name, async (candidate) => {
      const accepted = await store.create({ name: candidate, sizeBytes: 16 * MIB }).then(
        () => true,
        (error: OffloadError) => {
          assert.ok(error.code === 'invalid_request' || error.code === 'already_exists', error.message);
          return false;
        },
      );
      assert.equal(readdirSync(parent), ['volumes']);
      if (accepted) assert.ok(existsSync(join(directory, candidate, 'volume.json')));
      assert.ok(readdirSync(directory).every((entry) => /^[a-z0-9][a-z0-9_.-]*$/.test(entry)));
    }),
    { numRuns: 200 },
  );
});

test('a volume that cannot be made leaves nothing', async () => {
  const directory = fresh();
  const run: RunTool = async () => {
    throw new OffloadError('no_space', 'mke2fs -q: no space left on device');
  };
  const store = await openVolumeStore({ directory, run });
  const error = await rejection(store.create({ name: 'data' }));
  assert.is(error.code, 'no_space');
  assert.is(error.message, 'create volume data: mke2fs -q: no space left on device');
  assert.equal(readdirSync(directory), []);
  assert.not(store.has('data'));
});

test('a removed volume is gone; one that has to stay stays', async () => {
  const directory = fresh();
  const store = await openVolumeStore({ directory, run: noTool });
  await store.create({ name: 'data' });
  const inUse = new OffloadError('invalid_state', 'remove volume data: container web uses it');
  const refused = await rejection(
    store.remove('data', () => {
      throw inUse;
    }),
  );
  assert.is(refused, inUse);
  assert.is((await store.get('data')).name, 'data');
  await store.remove('data', unused);
  assert.equal(readdirSync(directory), []);
  assert.is((await rejection(store.get('data'))).code, 'not_found');
  assert.is((await rejection(store.remove('data', unused))).code, 'not_found');
});

test('what was half made goes when the store is opened, and what is damaged is left alone', async () => {
  const directory = fresh();
  const before = await openVolumeStore({ directory, run: noTool });
  const { path } = await before.create({ name: 'short' });
  truncateSync(path, 4096);
  for (const name of ['.new-abc', '.trash-data', 'empty']) mkdirSync(join(directory, name));
  writeFileSync(join(directory, '.new-abc', 'data.ext4'), 'half');
  const warned: object[] = [];
  const store = await openVolumeStore({ directory, logger: { warn: (fields) => warned.push(fields) } });
  assert.equal(await store.list(), []);
  assert.equal(readdirSync(directory).sort(), ['empty', 'short']);
  assert.is(readFileSync(path).length, 4096);
  assert.is(warned.length, 4);
  const error = await rejection(store.create({ name: 'short' }));
  assert.is(error.code, 'already_exists');
  assert.is(error.message, 'create volume short: a damaged volume has the name');
});

test.run();
