import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { encodeFrame, STDOUT } from '../../../interconnect/stdio-frames.ts';
import { createPlaneClient } from '../../../offload-plane/client/index.ts';
import { withDeadline } from '../../../platform/deadline.ts';
import { rejection } from '../../helpers/rejection.ts';
import { tempDirectory } from '../../helpers/temp-directory.ts';
import { until } from '../../helpers/until.ts';

/** A plane that begins every answer and ends none. */
interface World {
  socketPath: string;
  open: Set<ServerResponse>;
  close(): void;
}
const test = suite<World>('the client of a plane');
const WAIT_MS = 60_000;

test.before.each(async (world) => {
  world.open = new Set();
  world.socketPath = join(tempDirectory('client'), 'plane.sock');
  const server = createServer((request, response) => {
    world.open.add(response);
    response.once('close', () => world.open.delete(response));
    if (request.url?.includes('/logs')) response.write(encodeFrame(STDOUT, 'first\n'));
    else if (request.url?.includes('/events')) response.write('\n{"sequence":1}\n{"seq');
  });
  server.listen(world.socketPath);
  await once(server, 'listening');
  world.close = () => {
    server.closeAllConnections();
    server.close();
  };
});
test.after.each((world) => world.close());

test('closing it ends events and logs that are followed, without an error', async (world) => {
  const client = createPlaneClient(world);
  const events = client.events();
  const logs = client.stdio.logs('web', { follow: true });
  assert.equal((await events.next()).value, { sequence: 1 });
  assert.is(String((await logs.next()).value?.bytes), 'first\n');
  const ends = Promise.all([events.next(), logs.next()]);
  await withDeadline(client.close(), WAIT_MS, 'close the client');
  const done = await withDeadline(ends, WAIT_MS, 'the streams end');
  assert.equal(
    done.map(({ done }) => done),
    [true, true],
  );
});

test('closing it ends a call that is not answered, with an error that says so', async (world) => {
  const client = createPlaneClient(world);
  const waiting = rejection(client.guests.list());
  await until('the plane has the call', () => world.open.size === 1);
  await withDeadline(client.close(), WAIT_MS, 'close the client');
  const error = await withDeadline(waiting, WAIT_MS, 'the call ends');
  assert.match(error.message, /the client was closed/);
});

test('whoever stops following in the middle leaves no connection at work', async (world) => {
  const client = createPlaneClient(world);
  for await (const { sequence } of client.events()) if (sequence === 1) break;
  await until('the plane sees it gone', () => world.open.size === 0);
  await client.close();
});

test('a plane that breaks off is an error, and not an end', async (world) => {
  const client = createPlaneClient(world);
  const events = client.events();
  await events.next();
  for (const response of world.open) response.destroy();
  const error = await rejection(events.next());
  assert.match(error.message, /GET \/v1\/events: the plane broke off/);
  await client.close();
});

test.run();
