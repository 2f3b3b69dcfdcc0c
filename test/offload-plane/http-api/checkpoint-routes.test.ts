/** Checkpoints over the API as a client has them, with answers compared with their schemas; no guest is needed. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import * as assert from 'uvu/assert';
import { createPlaneClient, type PlaneClient } from '../../../offload-plane/client/index.ts';
import { createHttpApi } from '../../../offload-plane/http-api/server.ts';
import { saveOrderLog } from '../../../offload-plane/order-log/load.ts';
import { createPlane, type Plane } from '../../../offload-plane/plane.ts';
import { ANONYMOUS, writeCriuCheckpoint } from '../../helpers/criu-checkpoint.ts';
import { PATIENT_TIMEOUTS } from '../../helpers/patient-timeouts.ts';
import { silentLogger } from '../../helpers/plane-parts.ts';
import { rejection } from '../../helpers/rejection.ts';
import { suite } from '../../helpers/suite.ts';
import { tempDirectory } from '../../helpers/temp-directory.ts';
import { until } from '../../helpers/until.ts';

const test = suite<{ plane: Plane; client: PlaneClient; close: () => Promise<void> }>(
  'checkpoints over the API',
);

test.before(async (context) => {
  const directory = tempDirectory('checkpoint-routes');
  const plane = await createPlane(
    { storeDirectory: join(directory, 'store'), hostAddress: '127.0.0.1', timeouts: PATIENT_TIMEOUTS },
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

/** A client that hears of progress, and can leave. */
function watching({ client }: { client: PlaneClient }) {
  const leave = new AbortController();
  const told: string[] = [];
  const watcher = {
    signal: leave.signal,
    onProgress({ text }: { text: string }, { kind, subject }: { kind: string; subject: string }) {
      told.push(`${kind} ${subject}: ${text}`);
    },
  };
  return { leave, told, watched: createPlaneClient(client.connection.address, watcher) };
}

test('export and import are operations: on record, with progress, and their end is told', async ({
  client,
  plane,
}) => {
  const { watched, told } = watching({ client });
  const tar = await buffer(await watched.checkpoints.export('after'));
  const imported = await watched.checkpoints.import(Readable.from([tar]), { id: 'told' }, tar.length);
  assert.is(imported.id, 'told');
  assert.match(told[0] ?? '', /^import told: sending: 0 of 1 MiB$/);
  assert.ok(told.includes('import told: comparing it with what was exported'), told.join('; '));
  const ended = (await client.operations.list()).filter(({ phase }) => phase === 'succeeded');
  assert.ok(ended.some(({ kind, subject }) => kind === 'export' && subject === 'after'));
  const { result } = ended.find(({ kind, subject }) => kind === 'import' && subject === 'told')!;
  assert.equal(result, imported);
  await plane.store.remove('told');
  await watched.close();
});

test('an import that is cancelled, by its client or as an operation, leaves nothing', async ({
  client,
  plane,
}) => {
  const { watched, leave } = watching({ client });
  const tar = await buffer(await client.checkpoints.export('after'));
  /** All but the end, and then nothing. */
  const stuck = () => {
    const half = new PassThrough();
    half.write(tar.subarray(0, tar.length - 4_096));
    return half;
  };
  const running = async () => {
    const operations = await client.operations.list();
    return operations.find(({ kind, phase }) => kind === 'import' && phase === 'running');
  };
  const left = rejection(watched.checkpoints.import(stuck(), { id: 'left' }));
  await until('an import is under way', running);
  leave.abort();
  assert.is((await left).code, 'cancelled');
  await until('the plane has seen it go', async () => (await running()) === undefined);
  const cancelled = rejection(client.checkpoints.import(stuck(), { id: 'left' }));
  await until('another import is under way', running);
  const operation = await running();
  await client.operations.cancel(operation!.id);
  assert.is((await cancelled).code, 'cancelled');
  assert.is((await client.operations.inspect(operation!.id)).phase, 'cancelled');
  assert.equal((await plane.store.list()).map(({ id }) => id).sort(), ['after', 'before']);
  await watched.close();
});

test('a tar that is refused while it is still being sent says why', async ({ client }) => {
  const { watched } = watching({ client });
  const endless = Readable.from(
    (function* () {
      for (;;) yield Buffer.alloc(64 * 1024, 'x');
    })(),
  );
  const error = await rejection(watched.checkpoints.import(endless, { id: 'nonsense' }));
  assert.is(error.code, 'invalid_checkpoint');
  await watched.close();
});

test('an export that is cancelled breaks off, and lets the checkpoint go', async ({ client, plane }) => {
  await writeCriuCheckpoint(plane.store, 'large', { pageCount: 256, fill: 'r' });
  const tar = await client.checkpoints.export('large');
  const found = (await client.operations.list()).find(
    ({ subject, phase }) => subject === 'large' && phase === 'running',
  );
  assert.is(found?.kind, 'export');
  await client.operations.cancel(found!.id);
  const outcome = await buffer(tar).then(
    () => 'whole',
    () => 'broken off',
  );
  assert.is(outcome, 'broken off');
  assert.is((await client.operations.inspect(found!.id)).phase, 'cancelled');
  await plane.store.remove('large');
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
