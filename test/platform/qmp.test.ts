import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { QmpClient } from '../../platform/qmp.ts';
import { failure } from '../helpers/rejection.ts';
import { tempDirectory } from '../helpers/temp-directory.ts';

const directory = tempDirectory('qmp');
let serverCount = 0;

interface Request {
  execute: string;
  arguments?: unknown;
  id: number;
}

/** A QEMU of a few lines: greets, accepts the negotiation, and leaves the rest to `answer`. */
async function withQemu(
  answer: (socket: Socket, request: Request) => void,
  body: (qmp: QmpClient) => Promise<void>,
) {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.write('{"QMP": {"version": {}, "capabilities": []}}\r\n');
    const lines = createInterface(socket);
    lines.on('error', () => {});
    lines.on('line', (line) => {
      const request = JSON.parse(line) as Request;
      if (request.execute === 'qmp_capabilities') socket.write(`{"return": {}, "id": ${request.id}}\r\n`);
      else answer(socket, request);
    });
  });
  serverCount += 1;
  const socketPath = join(directory, `${serverCount}.sock`);
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  const qmp = await QmpClient.connect({ socketPath, timeoutMs: 60_000 });
  try {
    await body(qmp);
  } finally {
    qmp.close();
    server.close();
  }
}

test('answers find their commands, whatever their order and however they are cut', async () => {
  const requests: Request[] = [];
  const answer = (socket: Socket, request: Request) => {
    requests.push(request);
    if (requests.length < 2) return;
    const text = requests.reverse().map(({ id, execute }) => `{"return": "${execute}", "id": ${id}}\r\n`);
    for (const piece of text.join('').match(/.{1,7}/gs)!) socket.write(piece);
  };
  await withQemu(answer, async (qmp) => {
    assert.equal(await Promise.all([qmp.execute('one'), qmp.execute('two', { a: 1 })]), ['one', 'two']);
  });
});

test("an error names the command and QEMU's reason", async () => {
  const answer = (socket: Socket, { id }: Request) =>
    socket.write(`{"error": {"class": "GenericError", "desc": "Bus not found"}, "id": ${id}}\n`);
  await withQemu(answer, async (qmp) => {
    assert.is(await failure(qmp.execute('device_add')), 'QMP device_add: Bus not found');
  });
});

test('an event that comes before the answer is delivered', async () => {
  const answer = (socket: Socket, { id }: Request) =>
    socket.write(`{"event": "DEVICE_DELETED", "data": {"device": "d"}}\n{"return": {}, "id": ${id}}\n`);
  await withQemu(answer, async (qmp) => {
    const deleted = qmp.waitForEvent(({ event }) => event === 'DEVICE_DELETED', 60_000, 'removal');
    await qmp.execute('device_del');
    assert.equal(await deleted, { event: 'DEVICE_DELETED', data: { device: 'd' } });
  });
});

test('a command without an answer ends at its deadline', async () => {
  await withQemu(
    () => {},
    async (qmp) => {
      assert.is(await failure(qmp.execute('stop', {}, 20)), 'QMP stop: no answer within 20 ms');
    },
  );
});

test('a lost connection fails what waits and what comes later', async () => {
  const answer = (socket: Socket) => socket.destroy();
  await withQemu(answer, async (qmp) => {
    assert.match(await failure(qmp.execute('quit')), /^QMP quit: connection closed/);
    assert.match(await failure(qmp.execute('cont')), /^QMP cont: connection closed/);
  });
});

test('a line without an end is cut off', async () => {
  const answer = (socket: Socket) => socket.write('x'.repeat(5 * 1024 * 1024));
  await withQemu(answer, async (qmp) => {
    assert.match(await failure(qmp.execute('query-status')), /a line of more than 4194304 bytes/);
  });
});

test.run();
