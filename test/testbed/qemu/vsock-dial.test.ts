import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { dialGuest } from '../../../testbed/qemu/vsock-dial.ts';

const directory = mkdtempSync(join(tmpdir(), 'dial-'));
test.after(() => rmSync(directory, { recursive: true }));

async function withDaemon(
  name: string,
  onLine: (socket: Socket, line: string) => void,
  body: (path: string) => Promise<void>,
) {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', (data) => onLine(socket, String(data)));
  });
  const path = join(directory, name);
  await new Promise<void>((resolve) => server.listen(path, resolve));
  try {
    await body(path);
  } finally {
    server.close();
  }
}

const failure = (promise: Promise<unknown>) =>
  promise.then(
    () => 'connected',
    (error: Error) => error.message,
  );

test('what the guest sends right behind the answer is not lost', async () => {
  const answer = (socket: Socket, line: string) => socket.end(`OK ${line.trim().split(' ')[1]}\nhello`);
  await withDaemon('ok', answer, async (path) => {
    const socket = await dialGuest(path, 1024, 5_000);
    let text = '';
    for await (const chunk of socket) text += String(chunk);
    assert.is(text, 'hello');
  });
});

test('a port that nobody listens on is an error', async () => {
  await withDaemon(
    'closed',
    (socket) => socket.destroy(),
    async (path) => {
      assert.match(await failure(dialGuest(path, 9, 5_000)), /dial vsock port 9 .*nobody listens there/);
    },
  );
});

test('a guest that never answers is given up at the deadline', async () => {
  const sockets: Socket[] = [];
  await withDaemon(
    'mute',
    (socket) => sockets.push(socket),
    async (path) => {
      assert.match(await failure(dialGuest(path, 9, 20)), /no answer within 20 ms/);
    },
  );
  for (const socket of sockets) socket.destroy();
});

test.run();
