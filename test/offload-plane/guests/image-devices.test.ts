import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createImageDevices, type ImageDevices } from '../../../offload-plane/guests/image-devices.ts';
import { type FakeQemu, startFakeQemu } from '../../helpers/fake-qemu.ts';
import { rejection } from '../../helpers/rejection.ts';
import { tempDirectory } from '../../helpers/temp-directory.ts';

async function withDevices(body: (qemu: FakeQemu, devices: ImageDevices) => Promise<void>): Promise<void> {
  const path = join(tempDirectory('image-devices'), 'qmp');
  const qemu = await startFakeQemu(path);
  const devices = await createImageDevices('guest-a', path);
  try {
    await body(qemu, devices);
  } finally {
    await devices.close();
    qemu.close();
  }
}

test('an image is attached as a read-only disk of its own LUN', async () => {
  await withDevices(async (qemu, devices) => {
    assert.is(await devices.attach('sha256:1', '/images/redis.erofs'), 1);
    assert.equal(qemu.commands, [
      {
        execute: 'blockdev-add',
        arguments: {
          'node-name': 'image1',
          driver: 'raw',
          'read-only': true,
          file: { driver: 'file', filename: '/images/redis.erofs', 'read-only': true },
        },
      },
      {
        execute: 'device_add',
        arguments: { driver: 'scsi-hd', bus: 'scsi0.0', id: 'disk-image1', drive: 'image1', lun: 1 },
      },
    ]);
    assert.is(await devices.attach('sha256:2', '/images/node.erofs'), 2);
  });
});

test('an image that is there already, or on its way, keeps its LUN and is not attached again', async () => {
  await withDevices(async (qemu, devices) => {
    const both = [devices.attach('sha256:1', '/a'), devices.attach('sha256:1', '/a')];
    assert.equal(await Promise.all(both), [1, 1]);
    assert.is(await devices.attach('sha256:1', '/a'), 1);
    assert.is(qemu.commands.length, 2);
  });
});

test('a disk that QEMU refuses leaves no block node, and may be asked for again', async () => {
  await withDevices(async (qemu, devices) => {
    qemu.refuse('device_add', 'Bus not found');
    const error = await rejection(devices.attach('sha256:1', '/a'));
    assert.is(error.message, 'QMP device_add: Bus not found');
    assert.equal(qemu.commands.at(-1), { execute: 'blockdev-del', arguments: { 'node-name': 'image1' } });
    qemu.refuse('device_add', undefined);
    const lun = await devices.attach('sha256:1', '/a');
    assert.is(qemu.commands.at(-1)?.arguments?.lun, lun);
  });
});

test('disks that QEMU refuses use up no LUN', async () => {
  await withDevices(async (qemu, devices) => {
    qemu.refuse('device_add', 'Bus not found');
    for (let image = 1; image <= 255; image += 1) await rejection(devices.attach(`sha256:${image}`, '/a'));
    qemu.refuse('device_add', undefined);
    await devices.attach('sha256:256', '/a');
  });
});

test('the 256th image of a guest is refused with the limit', async () => {
  await withDevices(async (_qemu, devices) => {
    for (let image = 1; image <= 255; image += 1)
      assert.is(await devices.attach(`sha256:${image}`, '/a'), image);
    const error = await rejection(devices.attach('sha256:256', '/a'));
    assert.is(error.code, 'invalid_state');
    assert.is(error.message, 'attach image sha256:256: guest guest-a has its 255 images already');
    assert.is(await devices.attach('sha256:7', '/a'), 7);
  });
});

test('a QEMU that hangs up is noticed, and attaches nothing any more', async () => {
  await withDevices(async (qemu, devices) => {
    qemu.quit();
    await devices.lost;
    assert.is((await rejection(devices.attach('sha256:1', '/a'))).code, 'guest_lost');
  });
});

test.run();
