import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { exportTar } from '../../../../offload-plane/checkpoints/transfer/export.ts';
import { importTar } from '../../../../offload-plane/checkpoints/transfer/import.ts';
import { loadOrderLog, saveOrderLog } from '../../../../offload-plane/order-log/load.ts';
import type { CheckpointReader, PageStore } from '../../../../offload-plane/page-store/contract.ts';
import { checkpointctl } from '../../../helpers/checkpointctl.ts';
import { goldenImages, PAGE, writeCriuCheckpoint } from '../../../helpers/criu-checkpoint.ts';
import { RECIPE } from '../../../helpers/plane-parts.ts';
import { rejection } from '../../../helpers/rejection.ts';
import { tempDirectory } from '../../../helpers/temp-directory.ts';
import { HEAP, makeStore, SHMEM, writeCheckpoint } from '../../page-store/fixture.ts';

interface World {
  from: PageStore;
  to: PageStore;
  remove: () => Promise<void>;
}
const test = suite<World>('export and import of checkpoints');
const META = { guest: 'origin', recipe: RECIPE };

test.before.each(async (context) => {
  const [from, to] = [await makeStore(), await makeStore()];
  Object.assign(context, { from: from.store, to: to.store });
  context.remove = async () => {
    await from.remove();
    await to.remove();
  };
});
test.after.each(async ({ remove }) => await remove());

async function using<T>(
  store: PageStore,
  id: string,
  work: (reader: CheckpointReader) => Promise<T>,
): Promise<T> {
  const reader = await store.open(id);
  try {
    return await work(reader);
  } finally {
    await reader.close();
  }
}

const exported = (store: PageStore, id: string): Promise<Buffer> =>
  using(store, id, (reader) => buffer(exportTar({ reader, recipe: RECIPE, guest: 'origin' })));

test('what is exported comes back with every page, image and change, under its name', async ({
  from,
  to,
}) => {
  await writeCheckpoint(from, 'whole', {}, META);
  const tar = await exported(from, 'whole');
  const manifest = await importTar(to, Readable.from([tar]), {});
  assert.is(manifest.id, 'whole');
  assert.equal(manifest.meta, META);
  await using(from, 'whole', (before) =>
    using(to, 'whole', async (after) => {
      assert.is(after.memoryDigest(), before.memoryDigest());
      assert.is(after.manifest.pageCount, before.manifest.pageCount);
      assert.is(after.manifest.zeroPageCount, before.manifest.zeroPageCount);
      assert.equal(after.targets(), before.targets());
      const shape = (reader: CheckpointReader) =>
        reader
          .segments()
          .map(({ kind, id, vaddr, pageCount, lazy, zero }) => ({ kind, id, vaddr, pageCount, lazy, zero }));
      assert.equal(shape(after), shape(before));
      for (const { kind, id, vaddr, pageCount } of before.segments()) {
        const target = { kind, id };
        const [own, others] = [before, after].map((reader) => reader.readPages(target, vaddr, pageCount));
        assert.ok((await own)!.equals((await others)!));
      }
      assert.equal(after.imageFiles(), before.imageFiles());
      for (const name of before.imageFiles())
        assert.equal(await after.readImage(name), await before.readImage(name));
    }),
  );
});

test('the changes of the root filesystem travel along', async ({ from, to }) => {
  const rootfsDiff = Buffer.alloc(300_000, 'changes');
  await writeCriuCheckpoint(from, 'redis', { rootfsDiff });
  await importTar(to, Readable.from([await exported(from, 'redis')]), {});
  await using(to, 'redis', async (reader) => {
    assert.ok(rootfsDiff.equals(await buffer(reader.openRootfsDiff()!)));
  });
});

test('equal pages of the tenant are shared again, and the new name and tenant are those asked for', async ({
  from,
}) => {
  await writeCriuCheckpoint(from, 'redis', { pageCount: 200 });
  const tar = await exported(from, 'redis');
  const again = await importTar(from, Readable.from([tar]), { id: 'again' });
  assert.is(again.sharedPageCount, 200);
  const foreign = await importTar(from, Readable.from([tar]), { id: 'foreign', tenant: 'other' });
  assert.is(foreign.tenant, 'other');
  assert.is(foreign.sharedPageCount, 0);
});

test('the order log travels along, for a checkpoint whose pages lie in another order', async ({
  from,
  to,
}) => {
  await writeCheckpoint(from, 'first', { tenant: 'default' }, META);
  await writeCheckpoint(from, 'warm', { tenant: 'default' }, META);
  const entries = [7, 250, 8].map((page, timeUs) => ({
    task: 42,
    vaddr: HEAP + BigInt(page * PAGE),
    timeUs,
  }));
  await using(from, 'warm', (reader) => saveOrderLog(reader, entries));
  await importTar(to, Readable.from([await exported(from, 'warm')]), {});
  await using(to, 'warm', async (reader) => {
    const loaded = await loadOrderLog(reader);
    assert.ok('log' in loaded);
    assert.equal(loaded.log.entries, entries);
  });
});

test('a name that is taken is refused and its owner unharmed', async ({ from }) => {
  await writeCheckpoint(from, 'whole', {}, META);
  const tar = await exported(from, 'whole');
  assert.is((await rejection(importTar(from, Readable.from([tar]), {}))).code, 'already_exists');
  await using(from, 'whole', async (reader) => assert.is(reader.isZero(SHMEM, 0n), false));
});

test('a tar that was cut off anywhere is refused, and leaves nothing', async ({ from, to }) => {
  await writeCheckpoint(from, 'whole', {}, META);
  const tar = await exported(from, 'whole');
  for (let length = 0; length < tar.length - 1_024; length += Math.ceil(tar.length / 37)) {
    const error = await rejection(importTar(to, Readable.from([tar.subarray(0, length)]), {}));
    assert.is(error.code, 'invalid_checkpoint', `${length}: ${error.message}`);
  }
  assert.equal(await to.list(), []);
  assert.is(to.usedBytes, 0);
});

test('a page that was changed on the way is noticed, and nothing is left', async ({ from, to }) => {
  await writeCriuCheckpoint(from, 'redis');
  const tar = await exported(from, 'redis');
  const changed = Buffer.from(tar.toString('latin1').replace('pppppppp', 'ppppqppp'), 'latin1');
  const error = await rejection(importTar(to, Readable.from([changed]), {}));
  assert.is(error.code, 'digest_mismatch');
  assert.match(error.message, /its memory/);
  assert.equal(await to.list(), []);
});

test('an image that was changed on the way is named', async ({ from, to }) => {
  await writeCriuCheckpoint(from, 'redis', {
    images: new Map([...goldenImages(), ['note.img', Buffer.from('before')]]),
  });
  const tar = await exported(from, 'redis');
  const changed = Buffer.from(tar.toString('latin1').replace('before', 'behind'), 'latin1');
  const error = await rejection(importTar(to, Readable.from([changed]), {}));
  assert.is(error.code, 'digest_mismatch');
  assert.match(error.message, /note\.img/);
});

test('checkpointctl reads an export: container, processes with their commands, files and sockets', async ({
  from,
}) => {
  await writeCriuCheckpoint(from, 'redis');
  const path = join(tempDirectory('export'), 'redis.tar');
  await using(from, 'redis', (reader) =>
    pipeline(exportTar({ reader, recipe: RECIPE, guest: 'origin' }), createWriteStream(path)),
  );
  assert.match(await checkpointctl('show', path), /web\W+redis\W+[0-9a-f]{12}\W+crun\W+\S+\W+Podman/);
  const [shown] = JSON.parse(
    await checkpointctl('inspect', '--ps-tree-cmd', '--files', '--sockets', '--format', 'json', path),
  );
  assert.is(shown.container_name, 'web');
  assert.is(shown.process_tree.pid, 1);
  assert.is(shown.process_tree.command, 'redis-server');
  assert.is(shown.process_tree.cmdline.trim(), '/usr/bin/redis-server *:6379');
  const text = JSON.stringify(shown);
  assert.match(text, /\/dev\/null/);
  assert.match(text, /6379/);
});

test.run();
