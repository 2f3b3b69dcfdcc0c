import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openPageStore } from '../../../offload-plane/page-store/store.ts';
import { tempDirectory } from '../../helpers/temp-directory.ts';
import { until } from '../../helpers/until.ts';
import { fails } from './fails.ts';
import { makeStore } from './fixture.ts';

const STORE_MODULE = join(import.meta.dirname, '../../../offload-plane/page-store/store.ts');
const HOLD = `
const { openPageStore } = await import(${JSON.stringify(STORE_MODULE)});
await openPageStore({ directory: process.argv[1] });
console.log('open');
setInterval(() => {}, 1000);
`;

test('a store is open in one place at a time, and the refusal names the process', async () => {
  const { directory, store, remove } = await makeStore();
  await fails('invalid_state', new RegExp(`${directory}: process ${process.pid} has this store open`), () =>
    openPageStore({ directory }),
  );
  await store.close();
  const again = await openPageStore({ directory });
  await again.close();
  await remove();
});

test('kill -9 of the process that has a store lets go of it', async () => {
  const directory = tempDirectory('page-store-lock');
  const holder = execa(process.execPath, ['--input-type=module', '-e', HOLD, directory], { reject: false });
  let said = '';
  holder.stdout?.on('data', (chunk) => {
    said += chunk;
  });
  await until('the other process has the store', () => said.includes('open'));
  await fails('invalid_state', new RegExp(`process ${holder.pid} has this store open`), () =>
    openPageStore({ directory }),
  );
  holder.kill('SIGKILL');
  await holder;
  const store = await openPageStore({ directory });
  assert.is(store.usedBytes, 0);
  await store.close();
  await rm(directory, { recursive: true });
});

test.run();
