import { createHash } from 'node:crypto';
import { readdirSync, writeFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { usableNames } from '../../../offload-plane/images/archive-names.ts';
import { openImageStore } from '../../../offload-plane/images/image-store.ts';
import { OffloadError } from '../../../platform/errors.ts';
import { rejection } from '../../helpers/rejection.ts';
import { DEFAULT_ENTRIES, layoutEntries, makeLayout, makeTar } from './layout-fixture.ts';
import { createStoreFixture, testWithTools } from './store-fixture.ts';

const { fresh, withStore } = createStoreFixture('archives');

const layoutTar = async (options: Parameters<typeof makeLayout>[1] = {}) =>
  await makeTar(layoutEntries((await makeLayout(fresh('layout'), options)).root));

/** As `docker save` writes one: a layer beside a link to it, and manifest.json last. */
async function dockerArchive(repoTags: string[] | null): Promise<Buffer> {
  const layer = await makeTar(DEFAULT_ENTRIES);
  const diffId = createHash('sha256').update(layer).digest('hex');
  const config = Buffer.from(
    JSON.stringify({
      architecture: 'amd64',
      os: 'linux',
      config: { Cmd: ['/hello'], StopSignal: 'SIGQUIT' },
      rootfs: { type: 'layers', diff_ids: [`sha256:${diffId}`] },
      history: [{ created_by: 'a test' }],
    }),
  );
  const configName = `${createHash('sha256').update(config).digest('hex')}.json`;
  const manifest = [{ Config: configName, RepoTags: repoTags, Layers: [`${diffId}.tar`] }];
  return await makeTar([
    { name: `${diffId}.tar`, content: layer },
    { name: 'old/' },
    { name: 'old/layer.tar', type: 'symlink', linkname: `../${diffId}.tar`, content: '' },
    { name: configName, content: config },
    { name: 'manifest.json', content: Buffer.from(JSON.stringify(manifest)) },
  ]);
}

testWithTools('a layout comes as a stream, under the name that is given or the one it brings', async () => {
  await withStore(async (store, directory) => {
    const tar = await layoutTar({ tag: 'demo/app:3' });
    const phases = new Set<string>();
    const onProgress = ({ phase }: { phase: string }) => void phases.add(phase);
    assert.is((await store.load(Readable.from([tar]), {}, { onProgress })).name, 'demo/app:3');
    assert.ok(phases.has('upload') && phases.has('expand'));
    const named = await store.load(Readable.from([tar]), { name: 'mine' });
    assert.equal(named.names, ['demo/app:3', 'mine']);
    assert.is(readdirSync(directory).length, 2);
  });
});

testWithTools(
  'an archive of docker save is taken with the names in it, by path and as a stream',
  async () => {
    const archive = await dockerArchive(['demo/app:1', 'demo/app:2']);
    await withStore(async (store) => {
      const image = await store.load(Readable.from([archive]), {});
      assert.equal(image.names, ['demo/app:1', 'demo/app:2']);
      assert.equal(image.config.command, ['/hello']);
      assert.is(image.config.stopSignal, 'SIGQUIT');
      const path = fresh('with:colon.tar');
      writeFileSync(path, archive);
      assert.is((await store.import({ path, name: 'mine' })).digest, image.digest);
    });
  },
);

testWithTools('an archive of docker save that is not whole is an invalid image', async () => {
  const broken = await makeTar([
    {
      name: 'manifest.json',
      content: '[{"Config":"none.json","RepoTags":null,"Layers":["../../etc/passwd"]}]',
    },
  ]);
  await withStore(async (store, directory) => {
    const error = await rejection(store.load(Readable.from([broken]), { name: 'x' }));
    assert.is(error.code, 'invalid_image', error.message);
    assert.equal(readdirSync(directory), []);
  });
});

test('a stream that is longer than an image may be is cut off', async () => {
  await withStore(
    async (store, directory) => {
      let taken = 0;
      const endless = Readable.from(
        (function* () {
          for (;;) {
            taken += 1;
            yield Buffer.alloc(64 * 1024);
          }
        })(),
      );
      const error = await rejection(store.load(endless, { name: 'x' }));
      assert.is(error.message, 'load image x: more than 1000000 bytes');
      assert.ok(taken < 64, `${taken} pieces`);
      assert.equal(readdirSync(directory), []);
    },
    { imageBytesMax: 1_000_000 },
  );
});

test('a stream that breaks off leaves nothing', async () => {
  await withStore(async (store, directory) => {
    const broken = new Readable({ read() {} });
    broken.push(Buffer.alloc(512));
    const loading = rejection(store.load(broken, { name: 'x' }));
    setImmediate(() => broken.destroy());
    assert.is((await loading).code, 'invalid_request');
    assert.equal(readdirSync(directory), []);
  });
});

test('whatever bytes come as an archive, they are refused by name and leave nothing', async () => {
  const tar = await layoutTar();
  const damaged = fc
    .array(fc.record({ at: fc.nat({ max: tar.length - 1 }), byte: fc.nat({ max: 255 }) }), {
      minLength: 1,
      maxLength: 40,
    })
    .map((changes) => {
      const bytes = Buffer.from(tar);
      for (const { at, byte } of changes) bytes[at] = byte;
      return bytes;
    });
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 4_096 }).map((array) => Buffer.from(array)),
    fc.nat({ max: tar.length }).map((length) => tar.subarray(0, length)),
    damaged,
  );
  const run = async (file: string) => {
    throw new OffloadError('runtime_failed', `${file} was reached`);
  };
  const directory = fresh('store');
  const store = await openImageStore({ directory, run });
  await fc.assert(
    fc.asyncProperty(bytes, async (archive) => {
      const error = await rejection(store.load(Readable.from([archive]), { name: 'x' }));
      // Where the damage is in what nothing is made of, the image is whole, and the tools have their turn.
      const codes = ['invalid_image', 'digest_mismatch', 'runtime_failed', 'invalid_request'];
      assert.ok(codes.includes(error.code), `${error.code}: ${error.message}`);
      assert.match(error.message, /^load image x: /);
      assert.equal(readdirSync(directory), []);
    }),
    { numRuns: 150 },
  );
  await store.close();
});

test('of the names in an archive only whole ones are used', () => {
  const names = ['latest', 'demo/app:1', 'demo/app', '../x:1', 'host:5000/app:2', 'a b:1', ''];
  assert.equal(usableNames(names), ['demo/app:1', 'demo/app:latest', 'host:5000/app:2']);
});

test.run();
