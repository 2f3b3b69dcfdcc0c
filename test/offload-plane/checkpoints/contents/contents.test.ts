import * as assert from 'uvu/assert';
import { readContents } from '../../../../offload-plane/checkpoints/contents/contents.ts';
import type { CheckpointContents } from '../../../../offload-plane/checkpoints/contents/contract.ts';
import { saveOrderLog } from '../../../../offload-plane/order-log/load.ts';
import type { PageStore } from '../../../../offload-plane/page-store/contract.ts';
import { ANONYMOUS, goldenImages, PAGE, writeCriuCheckpoint } from '../../../helpers/criu-checkpoint.ts';
import { rejection } from '../../../helpers/rejection.ts';
import { suite } from '../../../helpers/suite.ts';
import { makeStore } from '../../page-store/fixture.ts';

const test = suite<{ store: PageStore; remove: () => Promise<void>; contents: CheckpointContents }>(
  'contents of a checkpoint',
);

test.before(async (context) => {
  Object.assign(context, await makeStore());
  await writeCriuCheckpoint(context.store, 'redis');
  context.contents = await contentsOf(context.store, 'redis');
});
test.after(async ({ remove }) => await remove());

async function contentsOf(store: PageStore, id: string): Promise<CheckpointContents> {
  const reader = await store.open(id);
  try {
    return await readContents(reader);
  } finally {
    await reader.close();
  }
}

test('a process is told with its name, state, user, threads and executable', ({ contents }) => {
  const [process, ...others] = contents.processes;
  assert.is(others.length, 0);
  assert.is(process!.pid, 1);
  assert.is(process!.name, 'redis-server');
  assert.is(process!.state, 'running');
  assert.is(process!.user, '0:0');
  assert.is(process!.executable, '/usr/bin/redis-server');
  assert.equal(
    process!.threads.map(({ name }) => name),
    ['redis-server', 'bio_close_file', 'bio_aof', 'bio_lazy_free', 'jemalloc_bg_thd', 'jemalloc_bg_thd'],
  );
  assert.is(contents.hostname, 'redis');
});

test('its command is read from where its memory holds it', ({ contents }) => {
  assert.equal(contents.processes[0]!.command, ['/usr/bin/redis-server *:6379']);
});

test('handles are told with what they are open on', ({ contents }) => {
  const handles = new Map(contents.processes[0]!.handles.map((handle) => [handle.fd, handle]));
  assert.equal(handles.get(0), {
    fd: 0,
    kind: 'file',
    closeOnExec: false,
    flags: ['O_RDWR'],
    path: '/dev/null',
    offset: 0,
  });
  assert.equal(handles.get(1)!.pipe, { id: 1259, end: 'write' });
  assert.equal(handles.get(7)!.watches, [9, 10, 8, 3]);
  assert.equal(handles.get(8)!.socket, {
    protocol: 'tcp',
    state: 'listening',
    local: '0.0.0.0:6379',
    backlog: 511,
  });
  assert.is(handles.get(9)!.socket!.local, '[::]:6379');
});

test('pages are counted in the mapping they are of', ({ contents }) => {
  const { mappings } = contents.processes[0]!;
  const anonymous = mappings.find(({ start }) => start === `0x${ANONYMOUS.toString(16)}`)!;
  assert.is(anonymous.kind, 'anonymous');
  assert.is(anonymous.protection, 'rw-p');
  assert.is(anonymous.storedPageCount, 7);
  assert.is(anonymous.zeroPageCount, 1);
  const stack = mappings.find(({ kind }) => kind === 'stack')!;
  assert.is(stack.storedPageCount, 1);
  const total = mappings.reduce((sum, mapping) => sum + mapping.storedPageCount, 0);
  assert.is(total, contents.memory.storedPageCount);
  const program = mappings.filter(({ path }) => path === '/usr/bin/redis-server');
  assert.equal(
    program.map(({ protection }) => protection),
    ['r--p', 'r-xp', 'r--p', 'r--p', 'rw-p'],
  );
});

test('the working set is counted by mapping as well', async ({ store }) => {
  await writeCriuCheckpoint(store, 'recorded');
  const reader = await store.open('recorded');
  const touched = [0n, 1n, 4n].map((page) => ANONYMOUS + page * BigInt(PAGE));
  await saveOrderLog(
    reader,
    touched.map((vaddr, i) => ({ task: 1, vaddr, timeUs: i })),
  );
  await reader.close();
  const { workingSet, processes } = await contentsOf(store, 'recorded');
  assert.equal(workingSet, { pageCount: 3, pageCountByKind: { anonymous: 3 } });
  const counted = processes[0]!.mappings.filter((mapping) => mapping.workingSetPageCount !== undefined);
  assert.equal(
    counted.map((mapping) => mapping.workingSetPageCount),
    [3],
  );
});

test('a checkpoint without CRIU’s tree is refused by the name of the image', async ({ store }) => {
  const images = goldenImages();
  images.delete('pstree.img');
  await writeCriuCheckpoint(store, 'treeless', { images });
  const error = await rejection(contentsOf(store, 'treeless'));
  assert.is(error.code, 'incomplete_checkpoint');
  assert.match(error.message, /pstree\.img/);
});

test('a tree that names a process twice is refused: each would be read and told again', async ({ store }) => {
  const images = goldenImages();
  const tree = images.get('pstree.img')!;
  images.set('pstree.img', Buffer.concat([tree, tree.subarray(8)]));
  await writeCriuCheckpoint(store, 'twice', { images });
  const error = await rejection(contentsOf(store, 'twice'));
  assert.is(error.code, 'invalid_checkpoint');
  assert.match(error.message, /pstree\.img has thread 1 of process 1 twice/);
});

test('an image of another kind, and one that is cut short, are refused by name', async ({ store }) => {
  const images = goldenImages();
  for (const [id, image] of [
    ['other', images.get('files.img')!],
    ['short', images.get('mm-1.img')!.subarray(0, 100)],
  ] as const) {
    await writeCriuCheckpoint(store, id, { images: new Map([...images, ['mm-1.img', image]]) });
    const error = await rejection(contentsOf(store, id));
    assert.is(error.code, 'invalid_checkpoint');
    assert.match(error.message, /mm-1\.img/);
  }
});

test.run();
