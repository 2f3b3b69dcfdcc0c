/** Checkpoints over the API as a client has them, with answers compared with their schemas; no guest is needed. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createPlaneClient, type PlaneClient } from '../../../offload-plane/client/index.ts';
import { createHttpApi } from '../../../offload-plane/http-api/server.ts';
import { saveOrderLog } from '../../../offload-plane/order-log/load.ts';
import { createPlane, DEFAULT_TIMEOUTS, type Plane } from '../../../offload-plane/plane.ts';
import { ANONYMOUS, writeCriuCheckpoint } from '../../helpers/criu-checkpoint.ts';
import { silentLogger } from '../../helpers/plane-parts.ts';
import { rejection } from '../../helpers/rejection.ts';
import { tempDirectory } from '../../helpers/temp-directory.ts';

const test = suite<{ plane: Plane; client: PlaneClient; close: () => Promise<void> }>(
  'checkpoints over the API',
);

test.before(async (context) => {
  const directory = tempDirectory('checkpoint-routes');
  const plane = await createPlane(
    { storeDirectory: join(directory, 'store'), hostAddress: '127.0.0.1', timeouts: DEFAULT_TIMEOUTS },
    { logger: silentLogger, nowMs: () => performance.now(), wallMs: () => Date.now(), randomBytes },
  );
  const app = await createHttpApi(plane, silentLogger, { checkAnswers: true });
  const socketPath = join(directory, 'plane.sock');
  await app.listen({ path: socketPath });
  const client = createPlaneClient({ socketPath });
  Object.assign(context, { plane, client });
  context.close = async () => {
    await client.close();
    await app.close();
    await plane.close();
  };
  await writeCriuCheckpoint(plane.store, 'before', { pageCount: 8 });
  await writeCriuCheckpoint(plane.store, 'after', { pageCount: 12, fill: 'q' });
  const reader = await plane.store.open('after');
  await saveOrderLog(reader, [{ task: 1, vaddr: ANONYMOUS, timeUs: 0 }]);
  await reader.close();
});
test.after(async ({ close }) => await close());

test('contents and differences are answered as their schemas say', async ({ client }) => {
  const { processes, workingSet } = await client.checkpoints.contents('after');
  assert.is(processes[0]!.name, 'redis-server');
  assert.equal(workingSet, { pageCount: 1, pageCountByKind: { anonymous: 1 } });
  const { memory } = await client.checkpoints.diff('before', 'after');
  assert.is(memory.addedPageCount, 4);
  assert.is((await rejection(client.checkpoints.contents('none'))).code, 'not_found');
  assert.is((await rejection(client.checkpoints.diff('before', 'none'))).code, 'not_found');
});

test('a checkpoint goes out and comes back; its reader is let go, so that it can be removed', async ({
  client,
  plane,
}) => {
  const tar = await buffer(await client.checkpoints.export('after'));
  const imported = await client.checkpoints.import(Readable.from([tar]), { id: 'again' });
  assert.is(imported.id, 'again');
  assert.is(imported.hasOrderLog, true);
  await client.checkpoints.remove('again');
  const broken = await client.checkpoints.export('after');
  broken.destroy();
  await rejection(
    client.checkpoints.import(Readable.from([tar.subarray(0, tar.length / 2)]), { id: 'half' }),
  );
  assert.equal((await plane.store.list()).map(({ id }) => id).sort(), ['after', 'before']);
});

test('a body that is no tar, and a template of a guest that is not there, are refused', async ({
  client,
}) => {
  const error = await rejection(client.connection.post('/v1/checkpoints/import', { id: 'x' }));
  assert.is(error.code, 'invalid_request');
  const refused = await rejection(client.templates.create({ name: 'web', image: 'redis', guest: 'none' }));
  assert.is(refused.code, 'not_found');
  assert.equal(await client.templates.list(), []);
  assert.is((await rejection(client.templates.inspect('web'))).code, 'not_found');
});

test.run();
