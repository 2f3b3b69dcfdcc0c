import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Container, VolumeMount } from '../../../offload-plane/containers/container.ts';
import { createContainerDisks } from '../../../offload-plane/containers/container-disks.ts';
import type { DiskFile } from '../../../offload-plane/guests/guest-disks.ts';
import type { Images } from '../../../offload-plane/images/images.ts';
import type { Volumes } from '../../../offload-plane/volumes/volumes.ts';
import { type FakeGuest, fakeGuest, guestsOf } from '../../helpers/fake-guest.ts';
import { RECIPE, silentLogger } from '../../helpers/plane-parts.ts';
import { rejection } from '../../helpers/rejection.ts';

const DATA: VolumeMount = { name: 'data', destination: '/data', readOnly: false };
const LOGS: VolumeMount = { name: 'logs', destination: '/logs', readOnly: true };

/** A guest whose disks are written down only: path, then who has it. */
function guestWithDisks(name: string) {
  const held = new Map<string, { file: DiskFile; holders: Set<string> }>();
  const letGo = (holder: string, all: boolean) => {
    for (const [path, { file, holders }] of held) {
      if (all || !file.readOnly) holders.delete(holder);
      if (holders.size === 0) held.delete(path);
    }
  };
  const guest: FakeGuest = fakeGuest(name);
  Object.assign(guest.disks, {
    async hold(file: DiskFile, holder: string) {
      const disk = held.get(file.path) ?? { file, holders: new Set() };
      held.set(file.path, disk);
      disk.holders.add(holder);
      return [...held.keys()].indexOf(file.path) + 1;
    },
    release: async (holder: string) => letGo(holder, true),
    releaseVolumes: async (holder: string) => letGo(holder, false),
    holdersOf: (path: string) => [...(held.get(path)?.holders ?? [])],
  });
  return { guest, attached: () => [...held.keys()] };
}

function world() {
  const [a, b] = [guestWithDisks('guest-a'), guestWithDisks('guest-b')];
  const containers = new Map<string, Container>();
  const ensured: string[] = [];
  const disks = createContainerDisks({
    guests: guestsOf(a.guest, b.guest),
    images: { get: () => ({ rootfsPath: '/rootfs' }) } as unknown as Images,
    volumes: {
      get: async (name: string) => ({ path: `/${name}` }),
      ensure: async (name: string) => void ensured.push(name),
    } as unknown as Volumes,
    logger: silentLogger,
    find: (id) => containers.get(id),
    timeoutFor: () => 1_000,
  });
  function container(id: string, volumes: VolumeMount[], phase: Container['phase'] = 'running') {
    const made = { id, name: `name-of-${id}`, phase, recipe: { ...RECIPE, volumes } } as Container;
    containers.set(id, made);
    return made;
  }
  return { a, b, disks, container, ensured };
}

test('a container has its image and its volumes, each with where it is seen', async () => {
  const { a, disks, container } = world();
  const spec = await disks.attach(a.guest, container('1', [DATA, LOGS]));
  assert.equal(spec, {
    rootfsLun: 1,
    volumes: [
      { lun: 2, destination: '/data', readOnly: false },
      { lun: 3, destination: '/logs', readOnly: true },
    ],
  });
  assert.equal(await disks.attach(a.guest, container('2', [])), { rootfsLun: 1 });
});

test('what a container that runs has is refused to another guest, and stays', async () => {
  for (const phase of ['created', 'running', 'paused', 'checkpointing', 'restoring'] as const) {
    const { a, b, disks, container } = world();
    await disks.attach(a.guest, container('1', [DATA], phase));
    const error = await rejection(disks.attach(b.guest, container('2', [DATA])));
    assert.is(error.code, 'invalid_state');
    assert.is(
      error.message,
      'attach volume data to guest guest-b: container name-of-1 of guest guest-a has it',
    );
    assert.equal(a.attached(), ['/rootfs', '/data']);
  }
});

test('what a container has that has ended goes to the other guest, unmounted first', async () => {
  const { a, b, disks, container } = world();
  await disks.attach(a.guest, container('1', [DATA, LOGS], 'stopped'));
  await disks.attach(b.guest, container('2', [DATA]));
  assert.equal(a.guest.calls, ['releaseVolumes 1']);
  assert.equal(a.attached(), ['/rootfs']);
  assert.equal(b.attached(), ['/rootfs', '/data']);
});

test('what cannot be unmounted stays where it is', async () => {
  const { a, b, disks, container } = world();
  await disks.attach(a.guest, container('1', [DATA], 'stopped'));
  a.guest.on('releaseVolumes', () => {
    throw new Error('umount: target is busy');
  });
  const busy = await disks.attach(b.guest, container('2', [DATA])).catch((error: Error) => error.message);
  assert.is(busy, 'umount: target is busy');
  assert.equal(a.attached(), ['/rootfs', '/data']);
});

test('a guest that is lost holds nothing back', async () => {
  const { a, b, disks, container } = world();
  await disks.attach(a.guest, container('1', [DATA]));
  a.guest.lost = true;
  await disks.attach(b.guest, container('2', [DATA]));
  assert.equal(b.attached(), ['/rootfs', '/data']);
});

test('of two guests that want a volume at the same time one gets it', async () => {
  const { a, b, disks, container } = world();
  const both = await Promise.allSettled([
    disks.attach(a.guest, container('1', [DATA])),
    disks.attach(b.guest, container('2', [DATA])),
  ]);
  assert.equal(
    both.map(({ status }) => status),
    ['fulfilled', 'rejected'],
  );
});

test('volumes of a new container are made where there are none', async () => {
  const { disks, ensured } = world();
  await disks.ensureVolumes([DATA, LOGS]);
  assert.equal(ensured, ['data', 'logs']);
});

test.run();
