import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createPlaneClient, type PlaneClient } from '../../../offload-plane/client/index.ts';
import { createHttpApi } from '../../../offload-plane/http-api/server.ts';
import { createPlane } from '../../../offload-plane/plane.ts';
import { assertProblem, withApi } from '../../helpers/api-world.ts';
import { type FakeMachine, startFakeMachine } from '../../helpers/fake-machine.ts';
import { PATIENT_TIMEOUTS } from '../../helpers/patient-timeouts.ts';
import { IMAGE, placeImage } from '../../helpers/placed-image.ts';
import { silentLogger } from '../../helpers/plane-parts.ts';
import { rejection } from '../../helpers/rejection.ts';
import { tempDirectory } from '../../helpers/temp-directory.ts';
import { until } from '../../helpers/until.ts';

const MIB = 1024 * 1024;

interface World {
  plane: PlaneClient;
  machine: FakeMachine;
  storeDirectory: string;
  /** `event name` of what was told of images and volumes. */
  told(): Promise<string[]>;
}

/** A plane with one image, `redis`, and one guest, spoken to as programs do. */
async function withPlane(body: (world: World) => Promise<void>): Promise<void> {
  const storeDirectory = tempDirectory('http-api');
  placeImage(join(storeDirectory, 'images'));
  const machine = await startFakeMachine('guest-a');
  const plane = await createPlane(
    { storeDirectory, hostAddress: '127.0.0.1', timeouts: PATIENT_TIMEOUTS },
    { logger: silentLogger, nowMs: () => performance.now(), wallMs: () => Date.now(), randomBytes },
  );
  const app = await createHttpApi(plane, silentLogger, { checkAnswers: true });
  const socketPath = join(storeDirectory, 'plane.sock');
  await app.listen({ path: socketPath });
  const client = createPlaneClient({ socketPath });
  const told = async () => {
    const events: string[] = [];
    for await (const { type, event, name } of plane.journal.read(0, {})) {
      if (type === 'image' || type === 'volume') events.push(`${type} ${event} ${name}`);
    }
    return events;
  };
  try {
    await client.guests.register(machine.registration);
    await body({ plane: client, machine, storeDirectory, told });
  } finally {
    await client.close();
    await app.close();
    await plane.close();
    machine.close();
  }
}

const disksOf = ({ qemu }: FakeMachine) =>
  qemu.commands
    .filter(({ execute }) => execute === 'blockdev-add' || execute === 'device_del')
    .map(({ execute, arguments: given }) => `${execute} ${given?.['node-name'] ?? given?.id}`);

test('an image is found by name, by its digest and by the first digits of it', async () => {
  await withPlane(async ({ plane }) => {
    const digits = IMAGE.slice('sha256:'.length);
    for (const name of ['redis', IMAGE, digits.slice(0, 12), `sha256:${digits.slice(0, 20)}`]) {
      assert.is((await plane.images.inspect(name)).digest, IMAGE, name);
    }
    for (const name of ['none', digits.slice(0, 11), 'redis:7', 'a/b@c', '%']) {
      assert.is((await rejection(plane.images.inspect(name))).code, 'not_found', name);
    }
  });
});

test('an image that a container was made from is not removed; afterwards it is, from guests too', async () => {
  await withPlane(async ({ plane, machine, storeDirectory, told }) => {
    await plane.containers.create({ name: 'web', guest: 'guest-a', image: 'redis' });
    const refused = await rejection(plane.images.remove('redis'));
    assert.is(refused.message, 'remove image redis: used by container web');
    assert.equal(await plane.images.prune({ all: true }), { removed: [], freedBytes: 0 });
    await plane.containers.remove('web');
    assert.equal(disksOf(machine), ['blockdev-add disk1']);
    assert.equal(await plane.images.prune({ all: false }), { removed: [], freedBytes: 0 });
    assert.equal(await plane.images.prune({ all: true }), { removed: ['redis'], freedBytes: 4_096 });
    assert.equal(disksOf(machine), ['blockdev-add disk1', 'device_del disk1']);
    assert.not(existsSync(join(storeDirectory, 'images', IMAGE.slice('sha256:'.length))));
    assert.equal(await told(), ['image removed redis']);
  });
});

test('a volume is made, told of, and removed with its data', async () => {
  await withPlane(async ({ plane, storeDirectory, told }) => {
    const made = await plane.volumes.create({ name: 'data', sizeBytes: 16 * MIB });
    assert.is(made.path, join(storeDirectory, 'volumes', 'data', 'data.ext4'));
    assert.equal(made.usedBy, []);
    assert.equal(await plane.volumes.list(), [made]);
    assert.equal(await plane.volumes.inspect('data'), made);
    assert.is((await rejection(plane.volumes.create({ name: 'data' }))).code, 'already_exists');
    await plane.volumes.remove('data');
    assert.not(existsSync(made.path));
    assert.is((await rejection(plane.volumes.inspect('data'))).code, 'not_found');
    assert.equal(await told(), ['volume created data', 'volume removed data']);
  });
});

test('a container has a volume as a disk of its guest, made where there is none, until it is gone', async () => {
  await withPlane(async ({ plane, machine }) => {
    await plane.volumes.create({ name: 'data', sizeBytes: 16 * MIB });
    await plane.containers.create({
      name: 'web',
      guest: 'guest-a',
      image: 'redis',
      volumes: [
        { name: 'data', destination: '/data', readOnly: false },
        { name: 'logs', destination: '/logs', readOnly: true },
      ],
    });
    assert.equal(disksOf(machine), ['blockdev-add disk1', 'blockdev-add disk2', 'blockdev-add disk3']);
    const { guest, usedBy } = await plane.volumes.inspect('data');
    assert.is(guest, 'guest-a');
    assert.equal(usedBy, ['web']);
    assert.is((await rejection(plane.volumes.remove('data'))).message, 'remove volume data: used by web');
    assert.equal((await plane.volumes.prune()).removed, []);
    await plane.containers.remove('web');
    assert.equal(disksOf(machine).slice(3).sort(), ['device_del disk2', 'device_del disk3']);
    assert.equal((await plane.volumes.prune()).removed, ['data', 'logs']);
  });
});

test('a container that has ended gives its volume to another guest, and starts again when it is free', async () => {
  await withPlane(async ({ plane, machine }) => {
    const other = await startFakeMachine('guest-b');
    try {
      await plane.guests.register(other.registration);
      await plane.volumes.create({ name: 'data', sizeBytes: 16 * MIB });
      const volumes = [{ name: 'data', destination: '/data', readOnly: false }];
      const { id } = await plane.containers.create({
        name: 'web',
        guest: 'guest-a',
        image: 'redis',
        volumes,
      });
      await plane.containers.start('web');
      const db = { name: 'db', guest: 'guest-b', image: 'redis', volumes };
      const refused = 'attach volume data to guest guest-b: container web of guest guest-a has it';
      assert.is((await rejection(plane.containers.create(db))).message, refused);
      machine.world.leaveExit(id, 0);
      await until('web has ended', async () => (await plane.containers.inspect('web')).phase === 'stopped');
      await plane.containers.create(db);
      assert.is((await plane.volumes.inspect('data')).guest, 'guest-b');
      assert.equal((await plane.volumes.inspect('data')).usedBy.sort(), ['db', 'web']);
      const held = 'attach volume data to guest guest-a: container db of guest guest-b has it';
      assert.is((await rejection(plane.containers.start('web'))).message, held);
      await plane.containers.remove('db');
      assert.is((await plane.containers.start('web')).phase, 'running');
      assert.is((await plane.volumes.inspect('data')).guest, 'guest-a');
    } finally {
      other.close();
    }
  });
});

test('a volume of a name or size that is none, or at a place that is none, is refused', async () => {
  await withPlane(async ({ plane }) => {
    for (const volume of [
      { name: '../x' },
      { name: '' },
      { name: 'a', sizeBytes: 1 },
      { name: 'a', more: 1 },
    ]) {
      assert.is(
        (await rejection(plane.volumes.create(volume))).code,
        'invalid_request',
        JSON.stringify(volume),
      );
    }
    const web = { name: 'web', guest: 'guest-a', image: 'redis' };
    for (const volume of [
      { name: '../x', destination: '/data', readOnly: false },
      { name: 'data', destination: 'data', readOnly: false },
    ]) {
      const error = await rejection(plane.containers.create({ ...web, volumes: [volume] }));
      assert.is(error.code, 'invalid_request');
    }
    assert.equal(await plane.volumes.list(), []);
  });
});

test('what is sent as an archive and is none is refused', async () => {
  await withPlane(async ({ plane }) => {
    const error = await rejection(
      plane.images.load(Readable.from([Buffer.alloc(10_000, 'x')]), { name: 'x' }),
    );
    assert.is(error.code, 'invalid_image');
    const json = await rejection(plane.connection.post('/v1/images/load', { path: '/x' }));
    assert.is(json.code, 'invalid_request');
    const platform = { reference: 'a/b', platform: 'linux/arm64' };
    assert.is((await rejection(plane.images.pull(platform))).code, 'invalid_request');
  });
});

test('images are listed and found by name or digest; one that is gone is not found', async () => {
  await withApi(async ({ send }) => {
    const [image] = (await send('GET', '/v1/images')).body.items;
    assert.is(image.name, 'redis');
    assert.equal((await send('GET', `/v1/images/${encodeURIComponent(IMAGE)}`)).body, image);
    assertProblem(await send('POST', '/v1/images', { path: '/nowhere' }), 'invalid_request', 400);
    assert.is((await send('DELETE', '/v1/images/redis')).status, 204);
    assert.equal((await send('GET', '/v1/images')).body, { items: [] });
  });
});

test.run();
