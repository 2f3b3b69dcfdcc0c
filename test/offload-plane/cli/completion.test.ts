import { once } from 'node:events';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { spawn } from 'node-pty';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { pollUntil } from '../../../platform/deadline.ts';
import {
  NODE_COMPILE_CACHE,
  OFFLOAD_PROGRAM,
  OFFLOAD_TIMEOUT_MS,
  offload,
} from '../../helpers/offload-program.ts';
import { tempDirectory, writeScript } from '../../helpers/temp-directory.ts';
import { withPlane } from './answering-plane.ts';
import { CONTAINER } from './views.ts';

/** The names are what it is about, not how soon they come. */
const PATIENT = { OFFLOAD_COMPLETION_TIMEOUT_MS: String(OFFLOAD_TIMEOUT_MS) };

test('shells are offered verbs, flags and the names of what the plane has', async () => {
  const answers = {
    'GET /v1/containers?limit=1000': { items: [CONTAINER] },
    'GET /v1/guests?limit=1000': { items: [{ name: 'guest-a', phase: 'ready' }] },
    'GET /v1/checkpoints?limit=1000': { items: [{ id: 'warm', image: 'redis' }] },
    'GET /v1/images?limit=1000': { items: [{ names: ['redis'] }] },
  };
  await withPlane(answers, async (socket) => {
    const at = { ...PATIENT, OFFLOAD_SOCKET: socket };
    const complete = async (...words: string[]) => (await offload(['complete', '--', ...words], at)).stdout;
    assert.match(await complete('chec'), /^checkpoint\t/m);
    assert.match(await complete('restore', '--pol'), /^--policy\t/m);
    assert.match(await complete('pause', ''), /^web\trunning in guest-a$/m);
    assert.match(await complete('restore', '--guest', ''), /^guest-a\tready$/m);
    assert.match(await complete('pin', 'w'), /^warm\tredis$/m);
    const nobody = await offload(['complete', '--', 'pause', ''], { OFFLOAD_SOCKET: `${socket}.none` });
    assert.is(nobody.exitCode, 0);
    assert.is(nobody.stderr, '');
  });
});

test('a bash without any package completes verbs, flags and names when tab is pressed', async () => {
  const answers = {
    'GET /v1/containers?limit=1000': { items: [CONTAINER] },
    'GET /v1/images?limit=1000': { items: [{ names: ['registry:5000/demo/redis:7'] }] },
  };
  await withPlane(answers, async (socket) => {
    const directory = tempDirectory('completion');
    writeScript(directory, 'offload', `exec '${process.execPath}' '${OFFLOAD_PROGRAM}' "$@"`);
    const env = {
      ...{ ...PATIENT, NODE_COMPILE_CACHE, PATH: `${directory}:${process.env.PATH}` },
      ...{ OFFLOAD_SOCKET: socket, PS1: '$ ', TERM: 'dumb', INPUTRC: '/dev/null' },
    };
    const shell = spawn('/bin/bash', ['--norc', '--noprofile'], { env, cols: 200 });
    let text = '';
    shell.onData((data) => {
      text += data;
    });
    shell.write('source <(offload completion bash) && echo sour""ced\r');
    const see = (what: string) =>
      pollUntil(() => text.includes(what) || undefined, {
        timeoutMs: OFFLOAD_TIMEOUT_MS,
        intervalMs: 20,
        what,
      });
    await see('sourced');
    for (const [typed, completed] of [
      ['offload vol', 'offload volume '],
      ['offload checkpoint exp', 'offload checkpoint export '],
      ['offload restore --pol', 'offload restore --policy '],
      ['offload pause w', 'offload pause web '],
      ['offload run registry:5', 'offload run registry:5000/demo/redis:7 '],
    ] as const) {
      text = '';
      // Away with the line before.
      shell.write(`\x15${typed}\t`);
      await see(completed);
    }
    shell.kill();
  });
});

test('a plane that does not answer in time is left out, as is one that is not there', async () => {
  const server = createServer(() => {});
  const socket = join(tempDirectory('cli'), 'plane.sock');
  server.listen(socket);
  await once(server, 'listening');
  const short = { OFFLOAD_COMPLETION_TIMEOUT_MS: '10', OFFLOAD_SOCKET: socket };
  const { exitCode, stdout, stderr } = await offload(['complete', '--', 'pause', ''], short);
  server.closeAllConnections();
  server.close();
  assert.equal([exitCode, stderr], [0, '']);
  assert.not.match(stdout, /\t/);
});

test.run();
