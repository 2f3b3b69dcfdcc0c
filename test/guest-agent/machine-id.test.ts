import { mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { replaceMachineId } from '../../guest-agent/machine-id.ts';
import { tempDirectory, writeInto } from '../helpers/temp-directory.ts';

const OLD = `${'a'.repeat(32)}\n`;
const NEW = 'b'.repeat(32);

test('an id that is there is replaced', async () => {
  const rootfs = tempDirectory('rootfs');
  mkdirSync(join(rootfs, 'etc'));
  const path = writeInto(join(rootfs, 'etc'), 'machine-id', OLD);
  await replaceMachineId(rootfs, NEW);
  assert.is(readFileSync(path, 'utf8'), `${NEW}\n`);
});

test('a container without one, or with one that is yet to be filled, keeps what it has', async () => {
  const rootfs = tempDirectory('rootfs');
  await replaceMachineId(rootfs, NEW);
  mkdirSync(join(rootfs, 'etc'));
  await replaceMachineId(rootfs, NEW);
  const path = writeInto(join(rootfs, 'etc'), 'machine-id', '');
  await replaceMachineId(rootfs, NEW);
  assert.is(readFileSync(path, 'utf8'), '');
});

test('links that a container left lead nowhere, neither the file nor its directory', async () => {
  const outside = tempDirectory('outside');
  const victim = writeInto(outside, 'machine-id', OLD);
  const linkedFile = tempDirectory('rootfs');
  mkdirSync(join(linkedFile, 'etc'));
  symlinkSync(victim, join(linkedFile, 'etc', 'machine-id'));
  const linkedDirectory = tempDirectory('rootfs');
  symlinkSync(outside, join(linkedDirectory, 'etc'));
  for (const rootfs of [linkedFile, linkedDirectory]) await replaceMachineId(rootfs, NEW);
  assert.is(readFileSync(victim, 'utf8'), OLD);
});

test.run();
