import { truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createGuestDisks, type GuestDisks } from '../../../offload-plane/guests/guest-disks.ts';
import { pluggedDisks } from '../../../offload-plane/guests/qemu-disks.ts';
import { QmpClient } from '../../../platform/qmp.ts';
import { type FakeQemu, startFakeQemu } from '../../helpers/fake-qemu.ts';
import { hasQemu, type IdleQemu, startIdleQemu } from '../../helpers/idle-qemu.ts';
import { rejection } from '../../helpers/rejection.ts';
import { tempDirectory } from '../../helpers/temp-directory.ts';

const image = (path: string) => ({ path, readOnly: true });
const volume = (path: string) => ({ path, readOnly: false });

async function withDisks(body: (qemu: FakeQemu, disks: GuestDisks) => Promise<void>): Promise<void> {
  const path = join(tempDirectory('guest-disks'), 'qmp');
  const qemu = await startFakeQemu(path);
  const disks = await createGuestDisks('guest-a', path);
  try {
    await body(qemu, disks);
  } finally {
    await disks.close();
    qemu.close();
  }
}

const scratch = tempDirectory('disk-files');
function blockFile(name: string): string {
  const path = join(scratch, name);
  writeFileSync(path, '');
  truncateSync(path, 1024 * 1024);
  return path;
}

/** What QEMU itself says it has, asked on a socket of its own. */
async function seenBy(qemu: IdleQemu) {
  const qmp = await QmpClient.connect({ socketPath: qemu.qmpPaths[1], timeoutMs: 60_000 });
  try {
    return await pluggedDisks(qmp);
  } finally {
    qmp.close();
  }
}

function testWithQemu(title: string, body: (qemu: IdleQemu) => Promise<void>): void {
  if (!hasQemu) {
    console.log(`skipped: ${title}: no QEMU`);
    return;
  }
  test(title, async () => {
    const qemu = await startIdleQemu();
    try {
      await body(qemu);
    } finally {
      await qemu.kill();
    }
  });
}

test('an image is attached as a read-only disk of its own LUN', async () => {
  await withDisks(async (qemu, disks) => {
    assert.is(await disks.hold(image('/images/redis.erofs'), 'web'), 1);
    const [add, plug] = qemu.commands;
    assert.equal(add?.arguments, {
      'node-name': 'disk1',
      driver: 'raw',
      'read-only': true,
      discard: 'unmap',
      file: { driver: 'file', filename: '/images/redis.erofs', 'read-only': true, locking: 'on' },
    });
    assert.is(plug?.execute, 'device_add');
    assert.is(plug?.arguments?.lun, 1);
    assert.is(await disks.hold(image('/images/node.erofs'), 'web'), 2);
  });
});

test('a disk that is there already, or on its way, keeps its LUN and is not attached again', async () => {
  await withDisks(async (qemu, disks) => {
    const both = ['a', 'b'].map((holder) => disks.hold(image('/a'), holder));
    assert.equal(await Promise.all(both), [1, 1]);
    assert.is(await disks.hold(image('/a'), 'c'), 1);
    assert.is(qemu.commands.length, 2);
    assert.equal(disks.holdersOf('/a'), ['a', 'b', 'c']);
  });
});

test('a disk that QEMU refuses leaves no block node and uses up no LUN', async () => {
  await withDisks(async (qemu, disks) => {
    qemu.refuse('device_add', 'Bus not found');
    for (let count = 1; count <= 255; count += 1) {
      const error = await rejection(disks.hold(image(`/${count}`), 'web'));
      assert.is(error.message, 'QMP device_add: Bus not found');
      assert.is(qemu.commands.at(-1)?.execute, 'blockdev-del');
    }
    qemu.refuse('device_add', undefined);
    assert.is(await disks.hold(image('/a'), 'web'), 1);
  });
});

test('the 256th disk takes the place of an image that nobody uses; when all are used it is refused', async () => {
  await withDisks(async (_qemu, disks) => {
    for (let count = 1; count <= 255; count += 1) {
      await disks.hold(image(`/${count}`), count === 7 ? 'short' : 'web');
    }
    const error = await rejection(disks.hold(image('/256'), 'web'));
    assert.is(error.code, 'invalid_state');
    assert.is(error.message, 'attach /256: guest guest-a uses its 255 disks already');
    await disks.release('short');
    assert.is(await disks.hold(image('/256'), 'web'), 7);
  });
});

test('a QEMU that hangs up is noticed, and attaches nothing any more', async () => {
  await withDisks(async (qemu, disks) => {
    qemu.quit();
    await disks.lost;
    assert.is((await rejection(disks.hold(image('/a'), 'web'))).code, 'guest_lost');
  });
});

testWithQemu('a volume goes with its last holder, an image stays until it is detached', async (qemu) => {
  const disks = await createGuestDisks('guest-a', qemu.qmpPaths[0]);
  const [data, rootfs] = [blockFile('data'), blockFile('rootfs')];
  await disks.hold(image(rootfs), 'web');
  await disks.hold(volume(data), 'web');
  await disks.hold(volume(data), 'db');
  assert.equal(await seenBy(qemu), [
    { ...image(rootfs), lun: 1 },
    { ...volume(data), lun: 2 },
  ]);
  await disks.release('web');
  assert.equal(disks.holdersOf(data), ['db']);
  assert.is((await seenBy(qemu)).length, 2);
  await disks.releaseVolumes('db');
  assert.equal(disks.holdersOf(rootfs), []);
  assert.equal(await seenBy(qemu), [{ ...image(rootfs), lun: 1 }]);
  await disks.detach(rootfs);
  await disks.detach(rootfs);
  assert.equal(await seenBy(qemu), []);
  await disks.close();
});

testWithQemu('a disk that is used is not detached, and its holder is named', async (qemu) => {
  const disks = await createGuestDisks('guest-a', qemu.qmpPaths[0]);
  const rootfs = blockFile('used');
  await disks.hold(image(rootfs), 'web');
  const error = await rejection(disks.detach(rootfs));
  assert.is(error.code, 'invalid_state');
  assert.match(error.message, 'used in guest guest-a by web');
  await disks.close();
});

testWithQemu('a plane that was started again finds the disks that are attached', async (qemu) => {
  const [data, rootfs, left] = [blockFile('kept'), blockFile('kept-rootfs'), blockFile('left')];
  const before = await createGuestDisks('guest-a', qemu.qmpPaths[0]);
  for (const file of [image(rootfs), volume(data), volume(left)]) await before.hold(file, 'web');
  await before.close();

  const after = await createGuestDisks('guest-a', qemu.qmpPaths[0]);
  assert.is(await after.hold(volume(data), 'web'), 2);
  assert.is(await after.hold(image(rootfs), 'web'), 1);
  await after.detachUnheld();
  assert.equal(
    (await seenBy(qemu)).map((disk) => disk.path),
    [rootfs, data],
  );
  assert.is(await after.hold(volume(left), 'db'), 4, 'not at once a LUN that was just in use');
  await after.close();
});

testWithQemu('a volume that one QEMU has is refused to another', async (qemu) => {
  const data = blockFile('shared');
  const disks = await createGuestDisks('guest-a', qemu.qmpPaths[0]);
  await disks.hold(volume(data), 'web');
  const second = await startIdleQemu();
  try {
    const others = await createGuestDisks('guest-b', second.qmpPaths[0]);
    const error = await rejection(others.hold(volume(data), 'web'));
    assert.is(error.code, 'invalid_state');
    assert.is(error.message, `attach ${data}: another machine has it open`);
    await disks.release('web');
    assert.is(await others.hold(volume(data), 'web'), 2);
    await others.close();
  } finally {
    await second.kill();
  }
  await disks.close();
});

test.run();
