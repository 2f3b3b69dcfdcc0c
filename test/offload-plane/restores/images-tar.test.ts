import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { setImmediate as turn } from 'node:timers/promises';
import tar from 'tar-stream';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { PageSession } from '../../../offload-plane/page-server/contract.ts';
import { createPageServer } from '../../../offload-plane/page-server/server.ts';
import type { CheckpointReader } from '../../../offload-plane/page-store/contract.ts';
import { imagesTar } from '../../../offload-plane/restores/images-tar.ts';
import { rejection } from '../../helpers/rejection.ts';
import { makeStore, pages, type StoreFixture, TASK } from '../page-store/fixture.ts';

interface World extends StoreFixture {
  reader: CheckpointReader;
  session: PageSession;
}

async function withSession(body: (world: World) => Promise<void>): Promise<void> {
  const fixture = await makeStore();
  const writer = await fixture.store.begin('warm');
  await writer.addPages(TASK, 0x7f00_0000_0000n, true, pages(3));
  await writer.addImage('core-42.img', Buffer.from('core of 42'));
  await writer.addImage('inventory.img', Buffer.from('inventory'));
  await writer.addRootfsDiff(Readable.from([Buffer.alloc(200_000, 'd')]));
  await writer.commit({});
  const reader = await fixture.store.open('warm');
  const server = createPageServer();
  const session = server.openSession({ guest: 'guest-a', reader, policy: 'lazy', record: false });
  session.done.catch(() => undefined);
  try {
    await body({ ...fixture, reader, session });
  } finally {
    await server.close();
    await fixture.remove();
  }
}

async function entriesOf(packed: Readable): Promise<Map<string, Buffer>> {
  const entries = new Map<string, Buffer>();
  for await (const entry of packed.pipe(tar.extract())) {
    entries.set(entry.header.name, await buffer(Readable.from(entry)));
  }
  return entries;
}

test("the tar has the checkpoint's images, the policy's pagemaps and the changes of the root filesystem", async () => {
  await withSession(async ({ reader, session }) => {
    const entries = await entriesOf(imagesTar(reader, session));
    const pagemaps = await session.pagemapImages();
    assert.equal(
      [...entries.keys()],
      [
        'images/core-42.img',
        'images/inventory.img',
        ...pagemaps.map(({ name }) => `images/${name}`),
        'rootfs-diff.tar',
      ],
    );
    assert.is(String(entries.get('images/core-42.img')), 'core of 42');
    assert.ok(entries.get('rootfs-diff.tar')?.equals(Buffer.alloc(200_000, 'd')));
    for (const { name, bytes } of pagemaps) assert.ok(entries.get(`images/${name}`)?.equals(bytes));
  });
});

test('no more images are read than somebody takes, and one may be empty', async () => {
  await withSession(async ({ reader, session }) => {
    const names = ['empty.img', ...Array.from({ length: 40 }, (_, i) => `core-${i}.img`)];
    const sizeOf = (name: string) => (name === 'empty.img' ? 0 : 1_000_000);
    const read: string[] = [];
    const large = {
      manifest: reader.manifest,
      imageFiles: () => names,
      async readImage(name: string) {
        read.push(name);
        return Buffer.alloc(sizeOf(name));
      },
      openRootfsDiff: () => undefined,
    } as unknown as CheckpointReader;
    const packed = imagesTar(large, session);
    for (let turns = 0; turns < 200; turns += 1) await turn();
    assert.ok(read.length < 5, `${read.length} of ${names.length} were read for nobody`);
    const entries = await entriesOf(packed);
    for (const name of names) assert.is(entries.get(`images/${name}`)?.length, sizeOf(name), name);
  });
});

test('a damaged image ends the tar with what is wrong', async () => {
  await withSession(async ({ reader, session, directory }) => {
    writeFileSync(join(directory, 'checkpoints', 'warm', 'images', 'core-42.img'), 'core of 43');
    const error = await rejection(text(imagesTar(reader, session)));
    assert.is(error.code, 'digest_mismatch');
  });
});

test('damaged changes of the root filesystem end the tar with what is wrong', async () => {
  await withSession(async ({ reader, session, directory }) => {
    writeFileSync(join(directory, 'checkpoints', 'warm', 'rootfs-diff.tar'), Buffer.alloc(200_000, 'e'));
    assert.is((await rejection(text(imagesTar(reader, session)))).code, 'digest_mismatch');
  });
});

test('a tar that fails and that nobody reads harms nobody', async () => {
  await withSession(async ({ reader, session, directory }) => {
    writeFileSync(join(directory, 'checkpoints', 'warm', 'images', 'core-42.img'), 'core of 43');
    const packed = imagesTar(reader, session);
    await rejection(reader.readImage('core-42.img'));
    await turn();
    packed.destroy();
  });
});

test('a reader that leaves in the middle leaves nothing behind', async () => {
  await withSession(async ({ reader, session, store }) => {
    const packed = imagesTar(reader, session);
    for await (const _ of packed) break;
    assert.ok(packed.destroyed);
    await session.close();
    await reader.close();
    await store.remove('warm');
  });
});

test.run();
