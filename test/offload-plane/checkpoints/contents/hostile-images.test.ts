/** CRIU's images, changed by fast-check: they come from a guest, so whatever they say ends in an answer or a named error. */
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { readContents } from '../../../../offload-plane/checkpoints/contents/contents.ts';
import { OffloadError } from '../../../../platform/errors.ts';
import { startCpuTime } from '../../../helpers/cpu-time.ts';
import { goldenImages, withImages, writeCriuCheckpoint } from '../../../helpers/criu-checkpoint.ts';
import { makeStore } from '../../page-store/fixture.ts';

const IMAGES = goldenImages();
const CODES = ['invalid_checkpoint', 'incomplete_checkpoint'];
const MAX_CPU_MS = 2_000;
const ODD = [0, 1, 0x7f, 0x80, 0xff];

type Change = (image: Buffer) => Buffer;
const change: fc.Arbitrary<Change> = fc.oneof(
  fc.tuple(fc.nat(4_000), fc.constantFrom(...ODD)).map(([at, byte]) => (image: Buffer) => {
    image[at % image.length] = byte;
    return image;
  }),
  fc.nat(4_000).map((at) => (image: Buffer) => image.subarray(0, at % image.length)),
  fc
    .tuple(fc.nat(4_000), fc.uint8Array({ minLength: 1, maxLength: 12 }))
    .map(([at, bytes]) => (image: Buffer) => {
      const place = at % image.length;
      return Buffer.concat([image.subarray(0, place), bytes, image.subarray(place)]);
    }),
  fc.nat(64).map((times) => (image: Buffer) => {
    return Buffer.concat([image, ...Array.from({ length: times }, () => image.subarray(8))]);
  }),
);

test('changed images end in an answer or in a named error, and soon', async () => {
  const { store, remove } = await makeStore();
  await writeCriuCheckpoint(store, 'redis');
  const reader = await store.open('redis');
  const changes = fc.array(fc.tuple(fc.constantFrom(...IMAGES.keys()), change), {
    minLength: 1,
    maxLength: 3,
  });
  let refused = 0;
  await fc.assert(
    fc.asyncProperty(changes, async (list) => {
      const images = new Map(IMAGES);
      for (const [name, apply] of list) images.set(name, apply(Buffer.from(images.get(name)!)));
      const cpuMs = startCpuTime();
      try {
        JSON.stringify(await readContents(withImages(reader, images)));
      } catch (error) {
        assert.instance(error, OffloadError, String(error));
        assert.ok(CODES.includes((error as OffloadError).code), (error as OffloadError).message);
        assert.not.match((error as OffloadError).message, /\n/);
        refused += 1;
      }
      assert.ok(cpuMs() < MAX_CPU_MS);
    }),
    { numRuns: 400 },
  );
  assert.ok(refused > 40, `only ${refused} were refused`);
  await reader.close();
  await remove();
});

test.run();
