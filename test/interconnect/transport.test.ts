import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import http2 from 'node:http2';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { Duplex } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { dialGuest, listenForGuest } from '../../interconnect/transport.ts';
import { rejection } from '../helpers/rejection.ts';
import { tempDirectory } from '../helpers/temp-directory.ts';

const directory = tempDirectory('transport');
let count = 0;

/** A vsock daemon's Unix socket: `onLine` gets what was asked and the connection. */
async function withDaemon(
  onLine: (socket: Socket, line: string) => void,
  body: (path: string, server: Server) => Promise<void>,
) {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.once('data', (data) => onLine(socket, String(data)));
  });
  count += 1;
  const path = join(directory, `${count}.sock`);
  server.listen(path);
  await once(server, 'listening');
  try {
    await body(path, server);
  } finally {
    for (const socket of sockets) socket.destroy();
    server.close();
  }
}

test('a dial asks for the port and gives the stream behind the answer', async () => {
  let asked = '';
  await withDaemon(
    (socket, line) => {
      asked = line;
      socket.write('OK 1024\n');
      socket.on('data', (data) => socket.end(`you said ${data}`));
    },
    async (path) => {
      const socket = await dialGuest(path, 1024, 60_000);
      assert.is(asked, 'CONNECT 1024\n');
      socket.end('hello');
      assert.is(String(await buffer(socket)), 'you said hello');
    },
  );
});

test('bytes right behind the answer are kept for whoever reads', async () => {
  await withDaemon(
    (socket) => socket.end('OK 77\nfirst words\nand more'),
    async (path) => {
      const socket = await dialGuest(path, 77, 60_000);
      assert.is(String(await buffer(socket)), 'first words\nand more');
    },
  );
});

test('HTTP/2 works on a dialled socket whose peer has spoken at once', async () => {
  const server = http2.createServer((_request, response) => response.end('fine'));
  await withDaemon(
    (socket) => {
      // The server's SETTINGS leave in the same chunk as the daemon's answer.
      const chunks: Buffer[] = [Buffer.from('OK 1024\n')];
      const stream = new Duplex({
        read() {},
        write(chunk: Buffer, _encoding, done) {
          chunks.push(chunk);
          setImmediate(() => {
            if (chunks.length > 0) socket.write(Buffer.concat(chunks.splice(0)));
          });
          done();
        },
      });
      socket.on('data', (data) => stream.push(data));
      server.emit('connection', stream);
    },
    async (path) => {
      const socket = await dialGuest(path, 1024, 60_000);
      const session = http2.connect('http://guest', { createConnection: () => socket });
      assert.is(String(await buffer(session.request({ ':path': '/' }))), 'fine');
      session.destroy();
    },
  );
});

test('an answer that comes byte by byte is put together, and leaves no listeners behind', async () => {
  await withDaemon(
    (socket) => {
      const bytes = [...'OK 12\nrest'];
      socket.setNoDelay(true);
      const next = () => {
        const byte = bytes.shift();
        if (byte === undefined) socket.end();
        else socket.write(byte, () => setImmediate(next));
      };
      next();
    },
    async (path) => {
      const socket = await dialGuest(path, 12, 60_000);
      assert.is(socket.listenerCount('error'), 0);
      assert.is(socket.listenerCount('readable'), 0);
      assert.is(String(await buffer(socket)), 'rest');
    },
  );
});

test('a port nobody listens on is a lost guest, said with the port', async () => {
  await withDaemon(
    (socket) => socket.end(),
    async (path) => {
      const error = await rejection(dialGuest(path, 5, 60_000));
      assert.is(error.code, 'guest_lost');
      assert.is(error.message, 'dial guest port 5: nobody listens there');
    },
  );
});

test('an answer other than OK is shown', async () => {
  await withDaemon(
    (socket) => socket.write('NO way\n'),
    async (path) => {
      const error = await rejection(dialGuest(path, 5, 60_000));
      assert.is(error.code, 'guest_lost');
      assert.is(error.message, 'dial guest port 5: answered "NO way"');
    },
  );
});

test('an answer without an end is given up after a few bytes', async () => {
  await withDaemon(
    (socket) => socket.write('x'.repeat(10_000)),
    async (path) => assert.is((await rejection(dialGuest(path, 5, 60_000))).code, 'guest_lost'),
  );
});

test('a silent daemon ends the dial at its deadline and the socket is closed', async () => {
  let closed: Promise<unknown> | undefined;
  await withDaemon(
    (socket) => {
      closed = once(socket, 'end');
    },
    async (path) => {
      const error = await rejection(dialGuest(path, 5, 30));
      assert.is(error.code, 'deadline_exceeded');
      assert.is(error.message, 'dial guest port 5: no answer within 30 ms');
      await closed;
    },
  );
});

test('a dial where there is no socket is a lost guest', async () => {
  const error = await rejection(dialGuest(join(directory, 'none.sock'), 5, 60_000));
  assert.is(error.code, 'guest_lost');
  assert.match(error.message, /^dial guest port 5: .*ENOENT/);
});

test('what the guest dials arrives on PATH_PORT, also where an old socket was left', async () => {
  const path = join(directory, 'guest.sock');
  writeFileSync(`${path}_2048`, 'left by a plane that was killed');
  const arrived: Socket[] = [];
  const server = await listenForGuest(path, 2048, {
    maxConnections: 1,
    onConnection: (socket) => arrived.push(socket),
  });
  const first = connect(`${path}_2048`);
  await once(first, 'connect');
  const second = connect(`${path}_2048`);
  await once(second, 'close');
  assert.is(arrived.length, 1, 'the second is one too many');
  first.destroy();
  arrived[0]?.destroy();
  server.close();
  await once(server, 'close');
  assert.not(existsSync(`${path}_2048`));
});

test.run();
