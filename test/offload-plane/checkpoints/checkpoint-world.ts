/** One checkpoint of a running container, into a real store; the guest's agent is the test's. */
import { duplexPair } from 'node:stream';
import tar from 'tar-stream';
import * as assert from 'uvu/assert';
import type { Following } from '../../../offload-plane/checkpoints/cancellation.ts';
import { takeCheckpoint } from '../../../offload-plane/checkpoints/checkpoint.ts';
import { createDumpInbox, type DumpInbox } from '../../../offload-plane/checkpoints/dump-inbox.ts';
import { createLineage } from '../../../offload-plane/checkpoints/lineage.ts';
import type { Container } from '../../../offload-plane/containers/container.ts';
import type { Containers } from '../../../offload-plane/containers/containers.ts';
import type { PageStoreOptions } from '../../../offload-plane/page-store/contract.ts';
import { OffloadError } from '../../../platform/errors.ts';
import { DUMP, relayCriuDump } from '../../helpers/criu-dump.ts';
import { type FakeGuest, fakeGuest } from '../../helpers/fake-guest.ts';
import { containersOf, DEADLINE_MS, silentLogger } from '../../helpers/plane-parts.ts';
import { rejection } from '../../helpers/rejection.ts';
import { socketPair } from '../../helpers/socket-pair.ts';
import { makeStore, type StoreFixture } from '../page-store/fixture.ts';

export const TOKEN = 'ab'.repeat(32);
export const FILES = {
  'images/core-1.img': 'core',
  'images/inventory.img': 'inventory',
  'rootfs-diff.tar': 'diff',
};

export interface World extends StoreFixture {
  guest: FakeGuest;
  inbox: DumpInbox;
  containers: Containers;
  container: Container;
  take(
    after?: 'stop' | 'resume',
    deadlineMs?: number,
    following?: Following,
  ): ReturnType<typeof takeCheckpoint>;
}

/** A running container `web` in a guest that does its part of a checkpoint. */
export async function withWorld(
  body: (world: World) => Promise<void>,
  options: Partial<PageStoreOptions> = {},
): Promise<void> {
  const fixture = await makeStore(options);
  const guest = fakeGuest();
  const inbox = createDumpInbox(silentLogger);
  const containers = containersOf(guest);
  await containers.create({ name: 'web', guest: 'guest-a', image: 'redis' });
  await containers.start('web');
  guest.calls.length = 0;
  guest.on('checkpointContainer', ({ token }) => dump(inbox, token));
  guest.onStream(() => {
    guest.calls.push('files');
    return filesOf(FILES);
  });
  guest.on('finishCheckpoint', async ({ action }) => {
    guest.calls.push(`${action} with ${(await fixture.store.list()).length} committed`);
    return { frozenMs: 12 };
  });
  const container = containers.get('web');
  const { store } = fixture;
  const lineage = createLineage(store);
  const newToken = () => TOKEN;
  const take = (after: 'stop' | 'resume' = 'resume', deadlineMs = DEADLINE_MS, following: Following = {}) =>
    takeCheckpoint(
      { id: 'warm', container, guest, after, preDumpRounds: 0, deadlineMs, ...following },
      { store, inbox, lineage, newToken },
    );
  try {
    await body({ ...fixture, guest, inbox, containers, container, take });
  } finally {
    containers.close();
    await fixture.remove();
  }
}

export async function dump(inbox: DumpInbox, token: string, bytes = DUMP) {
  const [near, far] = await socketPair();
  void inbox.accept(far, 'guest-a', DEADLINE_MS);
  await relayCriuDump(near, token, bytes).catch((error: unknown) => {
    throw new OffloadError('runtime_failed', 'CRIU: connection reset by peer', { cause: error });
  });
  return { dumpMs: 1, imageFiles: [], rootfsDiffFileCount: 0 };
}

export function filesOf(files: Record<string, string>) {
  const pack = tar.pack();
  for (const [name, content] of Object.entries(files)) pack.entry({ name }, content);
  pack.finalize();
  const [near, far] = duplexPair();
  pack.on('data', (chunk) => near.write(chunk));
  pack.on('end', () => near.end());
  return far;
}

/** The container runs on as if nothing had been, and the store holds nothing. */
export async function assertUndone({ container, store, guest }: World): Promise<void> {
  assert.is(container.phase, 'running');
  assert.equal(await store.list(), []);
  assert.is(store.usedBytes, 0);
  assert.is(guest.calls.at(-1), 'resume with 0 committed');
  assert.is((await rejection(store.open('warm'))).code, 'not_found');
}
