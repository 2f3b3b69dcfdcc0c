import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createPlaneClient } from '../../offload-plane/client/index.ts';
import { tempDirectory } from '../helpers/temp-directory.ts';
import { until } from '../helpers/until.ts';

const MAIN = join(import.meta.dirname, '../../offload-plane/main.ts');
const TIMEOUT_MS = 300_000;

const start = (...args: string[]) =>
  execa(process.execPath, [MAIN, ...args], { reject: false, timeout: TIMEOUT_MS, killSignal: 'SIGKILL' });

function places() {
  const directory = tempDirectory('plane-main');
  return { directory, socket: join(directory, 'plane.sock'), store: join(directory, 'store') };
}

test('a flag that is wrong or missing is named in one line, and nothing is made', async () => {
  const { directory, socket, store } = places();
  const all = await Promise.all(
    [
      ['--socket', socket],
      ['--store', store],
      ['--socket', socket, '--store', store, '--colour'],
      ['--socket', socket, '--store', store, '--store-quota-bytes', '-1'],
      ['--socket', socket, '--store', store, '--log-level', 'loud'],
    ].map((args) => start(...args)),
  );
  for (const [index, named] of [
    '--store',
    '--socket',
    '--colour',
    '--store-quota-bytes',
    '--log-level',
  ].entries()) {
    const { exitCode, stderr } = all[index]!;
    assert.is(exitCode, 1);
    assert.match(stderr, new RegExp(`^error: .*${named}[^\\n]*$`));
  }
  assert.equal(readdirSync(directory), []);
});

test('a plane answers on its socket and ends by a signal, with nothing left half done', async () => {
  const endBy = async (signal: 'SIGTERM' | 'SIGINT') => {
    const { socket, store } = places();
    writeFileSync(socket, 'left by a plane that was killed');
    mkdirSync(join(store, 'incoming', 'half'), { recursive: true });
    const plane = start('--socket', socket, '--store', store, '--log-level', 'silent');
    const client = createPlaneClient({ socketPath: socket });
    await until('an answer', async () => (await client.guests.list()).length === 0);
    assert.is(statSync(socket).mode & 0o777, 0o600);
    assert.equal(await client.checkpoints.list(), []);
    assert.equal(readdirSync(join(store, 'incoming')), [], 'what was half written is gone');
    plane.kill(signal);
    const { exitCode, stdout, stderr } = await plane;
    assert.is(exitCode, 0);
    assert.is(stdout + stderr, '');
    assert.not(existsSync(socket));
    await client.close();
  };
  await Promise.all([endBy('SIGTERM'), endBy('SIGINT')]);
});

test('a store that cannot be opened and a socket that cannot be made end the plane with one line', async () => {
  const { directory, socket, store } = places();
  const file = join(directory, 'file');
  writeFileSync(file, '');
  const [noStore, noSocket] = await Promise.all([
    start('--socket', socket, '--store', join(file, 'store')),
    start('--socket', join(directory, 'none', 'plane.sock'), '--store', store, '--log-level', 'silent'),
  ]);
  for (const { exitCode, stderr } of [noStore, noSocket]) {
    assert.is(exitCode, 1);
    assert.match(stderr, /^offload-plane: [^\n]+$/);
  }
  assert.match(noStore.stderr, /page store open/);
});

test.run();
