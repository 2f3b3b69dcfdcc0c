import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { ImageRecord, ImageStore } from '../../../offload-plane/images/image-store.ts';
import { createImages } from '../../../offload-plane/images/images.ts';
import { OffloadError } from '../../../platform/errors.ts';
import { rejection } from '../../helpers/rejection.ts';
import { openState } from '../../helpers/state.ts';

const record = (digest: string, names: string[]): ImageRecord => ({
  name: names[0] ?? digest,
  names,
  repoDigests: [],
  digest,
  createdAt: '2026-01-01T00:00:00.000Z',
  rootfsPath: `/${digest}`,
  rootfsBytes: 4096,
  config: { command: [], env: [], workingDir: '/', user: '0:0', exposedPorts: [] },
});

/** A store of three images: one with two names, one with one, one without. */
function imagesOf(usersOf: (digest: string) => string[]) {
  const records = [record('d1', ['one', 'uno']), record('d2', ['two']), record('d3', [])];
  const detached: string[] = [];
  const get = (reference: string): ImageRecord => {
    const found = records.find(({ digest, names }) => digest === reference || names.includes(reference));
    if (!found) throw new OffloadError('not_found', `get image: no image ${reference}`);
    return found;
  };
  const store = {
    list: () => [...records],
    get,
    async remove(reference: string, expectUnused: (image: ImageRecord) => Promise<void>) {
      const image = get(reference);
      if (image.names.length > 1 && image.digest !== reference) {
        image.names = image.names.filter((name) => name !== reference);
        return;
      }
      await expectUnused(image);
      records.splice(records.indexOf(image), 1);
    },
  } as unknown as ImageStore;
  const { journal } = openState();
  const images = createImages({
    store,
    journal,
    usersOf: async (digest) => usersOf(digest),
    detach: async (path) => void detached.push(path),
  });
  const events = async () => {
    const told: string[] = [];
    for await (const { event, name } of journal.read(0, {})) told.push(`${event} ${name}`);
    return told;
  };
  return { images, detached, events };
}

test('an image that containers or checkpoints need stays, and they are named', async () => {
  const { images, detached } = imagesOf(() => ['container web', 'checkpoint warm']);
  const error = await rejection(images.remove('two'));
  assert.is(error.code, 'invalid_state');
  assert.is(error.message, 'remove image two: used by container web, checkpoint warm');
  assert.equal(detached, []);
  assert.is(images.list().length, 3);
});

test('one of its names may go though it is needed', async () => {
  const { images, events } = imagesOf(() => ['container web']);
  await images.remove('uno');
  assert.equal(images.get('one').names, ['one']);
  assert.equal(await events(), ['untagged one']);
});

test('an image that goes is detached from guests first', async () => {
  const { images, detached, events } = imagesOf(() => []);
  await images.remove('two');
  assert.equal(detached, ['/d2']);
  assert.equal(await events(), ['removed two']);
});

test('a prune takes what has no name, or all, and leaves what is needed', async () => {
  const { images } = imagesOf((digest) => (digest === 'd2' ? ['container web'] : []));
  assert.equal(await images.prune({ all: false }), { removed: ['d3'], freedBytes: 4096 });
  assert.equal(await images.prune({ all: true }), { removed: ['one'], freedBytes: 4096 });
  assert.equal(
    images.list().map(({ digest }) => digest),
    ['d2'],
  );
});

test.run();
