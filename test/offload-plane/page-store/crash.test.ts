/** The process with the store ends by kill -9 at any moment; whatever is there afterwards is whole. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { auditCheckpoint } from '../../../offload-plane/page-store/audit.ts';
import { openPageStore } from '../../../offload-plane/page-store/store.ts';
import { tempDirectory } from '../../helpers/temp-directory.ts';
import { until } from '../../helpers/until.ts';

const FIXTURE = join(import.meta.dirname, 'fixture.ts');
const STORE = join(import.meta.dirname, '../../../offload-plane/page-store/store.ts');
const ROUNDS = Number(process.env.OFFLOAD_TEST_RUNS ?? 8);

/** Checkpoints on top of each other, working sets, evictions, without end. */
const BUSY = `
const { openPageStore } = await import(${JSON.stringify(STORE)});
const { writeCheckpoint, TASK, HEAP, pages } = await import(${JSON.stringify(FIXTURE)});
const store = await openPageStore({ directory: process.argv[1] });
let parent;
for (let i = Number(process.argv[2]); ; i++) {
  const id = 'c' + i;
  if (parent === undefined) await writeCheckpoint(store, id, { tenant: 't' });
  else {
    const writer = await store.begin(id, { tenant: 't', parent });
    await writer.reserve(1 << 20);
    await writer.addPages(TASK, HEAP, true, pages(40, i * 100));
    await writer.commit({});
  }
  console.log('committed', id);
  const reader = await store.open(id);
  await reader.writeOrderLog(Buffer.from('order'));
  await reader.writeWorkingSet([{ task: 42, vaddr: HEAP, pageCount: 50 }]);
  await reader.close();
  parent = id;
  if (i % 4 === 3) await store.evict(800 * 4096);
}
`;

test('after kill -9 at any moment every checkpoint is whole and every leftover goes', async () => {
  const directory = tempDirectory('page-store-crash');
  for (let round = 0; round < ROUNDS; round++) {
    const args = ['--input-type=module', '-e', BUSY, directory, String(round * 1000)];
    const busy = execa(process.execPath, args, { reject: false });
    let said = '';
    busy.stdout?.on('data', (chunk) => {
      said += chunk;
    });
    await until('a checkpoint is committed', () => said.includes('committed'));
    await delay(Math.random() * 60); // the moment is what is tried
    busy.kill('SIGKILL');
    const { stderr } = await busy;
    assert.is(stderr, '');
    const store = await openPageStore({ directory });
    const ids = (await store.list()).map(({ id }) => id);
    assert.equal(ids.sort(), (await readdir(join(directory, 'checkpoints'))).sort(), 'none is half there');
    const [newest] = said
      .trim()
      .split('\n')
      .slice(-1)
      .map((line) => line.split(' ')[1]!);
    assert.ok(ids.includes(newest!), `${newest} was acknowledged`);
    for (const id of ids) {
      const { damage } = await auditCheckpoint(directory, id);
      assert.equal(
        damage.filter((line) => !line.startsWith('order')), // the order here is no real one
        [],
      );
    }
    assert.equal(await readdir(join(directory, 'incoming')), []);
    await store.evict(0);
    assert.is(store.usedBytes, 0);
    await store.close();
  }
});

test.run();
