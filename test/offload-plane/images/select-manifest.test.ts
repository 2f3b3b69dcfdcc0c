import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Layout } from '../../../offload-plane/images/layout.ts';
import { DEFAULT_IMAGE_LIMITS } from '../../../offload-plane/images/limits.ts';
import { INDEX_TYPE } from '../../../offload-plane/images/oci-schema.ts';
import { selectManifest } from '../../../offload-plane/images/select-manifest.ts';
import { rejection } from '../../helpers/rejection.ts';
import { tempDirectory } from '../../helpers/temp-directory.ts';
import { digestOf, makeLayout, readIndex, writeIndex } from './layout-fixture.ts';

const scratch = tempDirectory('images');
const layoutOf = (root: string): Layout => ({
  subject: 'import image x',
  root,
  limits: DEFAULT_IMAGE_LIMITS,
});

test('the only image is taken without a tag', async () => {
  const { root, manifestDigest } = await makeLayout(join(scratch, 'one'));
  assert.is((await selectManifest(layoutOf(root))).digest, manifestDigest);
});

test('one of several images is chosen by its tag, also as the end of a full reference', async () => {
  const root = join(scratch, 'two');
  await makeLayout(root, { tag: 'example/web:v1' });
  const second = await makeLayout(root, { tag: 'v2', config: {} });
  assert.is((await selectManifest(layoutOf(root), 'v2')).digest, second.manifestDigest);
  assert.not.equal((await selectManifest(layoutOf(root), 'v1')).digest, second.manifestDigest);

  const ambiguous = await rejection(selectManifest(layoutOf(root)));
  assert.is(ambiguous.code, 'invalid_request');
  assert.match(ambiguous.message, 'holds 2 images, choose one by its tag; tags: example/web:v1, v2');
  const unknown = await rejection(selectManifest(layoutOf(root), 'v3'));
  assert.match(unknown.message, 'no image is tagged "v3"');
});

test('an index in the index is followed to the platform of the guests', async () => {
  const { root, manifestDigest, blobPath } = await makeLayout(join(scratch, 'nested'));
  const [manifest] = readIndex(root) as { digest: string }[];
  const arm = {
    ...manifest,
    digest: digestOf(Buffer.from('arm')),
    platform: { os: 'linux', architecture: 'arm64' },
  };
  const amd = { ...manifest, platform: { os: 'linux', architecture: 'amd64' } };
  const inner = Buffer.from(JSON.stringify({ schemaVersion: 2, manifests: [arm, amd] }));
  writeFileSync(blobPath(digestOf(inner)), inner);
  writeIndex(root, [{ mediaType: INDEX_TYPE, digest: digestOf(inner), size: inner.length }]);
  assert.is((await selectManifest(layoutOf(root))).digest, manifestDigest);
});

test('an index without an image for the guests is refused', async () => {
  const { root } = await makeLayout(join(scratch, 'none'));
  writeIndex(root, []);
  const error = await rejection(selectManifest(layoutOf(root)));
  assert.match(error.message, 'index.json: no manifest for linux/amd64');
});

test('an index that does not fit the schema is refused with the place', async () => {
  const { root } = await makeLayout(join(scratch, 'schema'));
  writeIndex(root, [{ mediaType: 'x', digest: 'sha256:../../etc', size: 1 }]);
  const error = await rejection(selectManifest(layoutOf(root)));
  assert.is(error.code, 'invalid_image');
  assert.match(error.message, 'index.json: /manifests/0/digest');
});

test.run();
