import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { diffCheckpoints } from '../../../../offload-plane/checkpoints/contents/diff.ts';
import type { CheckpointDiff } from '../../../../offload-plane/checkpoints/contents/diff-contract.ts';
import { diffTree } from '../../../../offload-plane/cli/trees/diff-tree.ts';
import { formatTree } from '../../../../offload-plane/cli/trees/tree.ts';
import { writeImageFile } from '../../../../offload-plane/criu-images/image-file.ts';
import type { PageStore } from '../../../../offload-plane/page-store/contract.ts';
import { goldenImages, type Written, writeCriuCheckpoint } from '../../../helpers/criu-checkpoint.ts';
import { makeStore } from '../../page-store/fixture.ts';

const test = suite<{ store: PageStore; remove: () => Promise<void> }>('diff of two checkpoints');
test.before.each(async (context) => {
  Object.assign(context, await makeStore());
});
test.after.each(async ({ remove }) => await remove());

async function diff(store: PageStore, before: Written, after: Written): Promise<CheckpointDiff> {
  await writeCriuCheckpoint(store, 'before', before);
  await writeCriuCheckpoint(store, 'after', after);
  const [from, to] = [await store.open('before'), await store.open('after')];
  try {
    return await diffCheckpoints(from, to);
  } finally {
    await Promise.all([from.close(), to.close()]);
  }
}

test('a checkpoint does not differ from one of the same', async ({ store }) => {
  const { processes, handles, memory } = await diff(store, {}, {});
  assert.equal(processes, { added: [], removed: [], changed: [] });
  assert.equal(handles, []);
  assert.equal(memory, {
    equalPageCount: 9,
    changedPageCount: 0,
    addedPageCount: 0,
    removedPageCount: 0,
    mappings: [],
  });
});

test('pages that changed, came and went are counted by mapping', async ({ store }) => {
  const grown = await diff(store, { pageCount: 8 }, { pageCount: 12, fill: 'q' });
  const [mapping, ...others] = grown.memory.mappings;
  assert.is(others.length, 0);
  assert.is(mapping!.kind, 'anonymous');
  // The eighth was zero, and is not any more.
  assert.is(mapping!.changedPageCount, 8);
  assert.is(mapping!.addedPageCount, 4);
  assert.is(grown.memory.equalPageCount, 1);
});

test('pages that went are told by the mapping they were in', async ({ store }) => {
  const shrunk = await diff(store, { pageCount: 12 }, { pageCount: 8 });
  assert.is(shrunk.memory.removedPageCount, 4);
  assert.is(shrunk.memory.mappings[0]!.removedPageCount, 4);
  assert.is(shrunk.memory.changedPageCount, 1);
});

test('a handle that was closed and a process of another name are told', async ({ store }) => {
  const images = goldenImages();
  const fdinfo = images.get('fdinfo-2.img')!;
  const length = fdinfo.readUInt32LE(8);
  // Without its first message: descriptor 0.
  const shorter = Buffer.concat([fdinfo.subarray(0, 8), fdinfo.subarray(12 + length)]);
  const core = Buffer.from(
    images.get('core-1.img')!.toString('latin1').replace('redis-server', 'redis-worker'),
    'latin1',
  );
  const after = new Map([...images, ['fdinfo-2.img', shorter], ['core-1.img', core]]);
  const result = await diff(store, {}, { images: after });
  assert.equal(
    result.handles.map(({ pid, removed }) => [pid, removed.map(({ fd, path }) => [fd, path])]),
    [[1, [[0, '/dev/null']]]],
  );
  assert.is(result.processes.changed[0]!.from.name, 'redis-server');
  assert.is(result.processes.changed[0]!.to.name, 'redis-worker');
  const text = formatTree(diffTree(result));
  assert.match(text, /^before → after\n/);
  assert.match(text, /~ 1 redis-server .*\n.*1 redis-worker/);
  assert.match(text, /- 0 file {2}\/dev\/null/);
});

test('a checkpoint whose processes are others has none in common', async ({ store }) => {
  const images = new Map([...goldenImages(), ['pstree.img', writeImageFile('pstree', [])]]);
  const { processes } = await diff(store, {}, { images });
  assert.equal(
    processes.removed.map(({ pid }) => pid),
    [1],
  );
});

test.run();
