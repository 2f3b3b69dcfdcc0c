import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { ImageLimits } from '../../../offload-plane/images/limits.ts';
import { type Registry, startRegistry } from '../../helpers/registry.ts';
import { rejection } from '../../helpers/rejection.ts';
import { until } from '../../helpers/until.ts';
import { digestOf, type FixtureOptions, makeLayout, readIndex } from './layout-fixture.ts';
import { type Lies, startLyingRegistry } from './lying-registry.ts';
import { createStoreFixture, testWithTools } from './store-fixture.ts';

const { fresh, withStore } = createStoreFixture('pull');
const layoutOf = (options: FixtureOptions = {}) => makeLayout(fresh('layout'), options);

async function withRegistry(body: (registry: Registry) => Promise<void>, htpasswd?: string): Promise<void> {
  const registry = await startRegistry(htpasswd);
  try {
    await body(registry);
  } finally {
    await registry.stop();
  }
}

/** What comes of pulling from a registry that does not do its part. Nothing is to be left of it. */
async function refusal(lies: Lies, options: { digest?: string; limits?: Partial<ImageLimits> } = {}) {
  const layout = await layoutOf();
  const registry = await startLyingRegistry(layout, lies);
  const tail = options.digest ? `@${options.digest}` : ':1';
  let error: Awaited<ReturnType<typeof rejection>> | undefined;
  try {
    await withStore(async (store, directory) => {
      const reference = `${registry.address}/app${tail}`;
      error = await rejection(store.pull({ reference, tlsVerify: false }));
      assert.match(error.message, `pull image ${reference}`);
      assert.equal(store.list(), []);
      assert.equal(readdirSync(directory), [], 'nothing is left over');
    }, options.limits);
  } finally {
    registry.close();
  }
  return { error: error as NonNullable<typeof error>, layout, registry };
}

testWithTools('an image comes by its tag, with the digests that the registry knows it by', async () => {
  await withRegistry(async (registry) => {
    const layout = await layoutOf();
    await registry.push(layout.root, 'latest', 'demo/app:7');
    await withStore(async (store, directory) => {
      const phases = new Set<string>();
      const repository = `${registry.address}/demo/app`;
      const image = await store.pull(
        { reference: `${repository}:7`, tlsVerify: false },
        { onProgress: ({ phase }) => void phases.add(phase) },
      );
      assert.is(image.digest, layout.manifestDigest);
      assert.equal(image.names, [`${repository}:7`]);
      assert.equal(image.repoDigests, [`${repository}@${layout.manifestDigest}`]);
      assert.ok(phases.has('resolve') && phases.has('build'));
      assert.equal(store.get(`${repository}@${layout.manifestDigest}`), image);
      assert.equal(store.get(layout.manifestDigest.slice(7, 19)), image);
      assert.equal(readdirSync(directory).sort(), [layout.manifestDigest.slice(7), 'names.json'].sort());
    });
  });
});

testWithTools('without a tag it is latest, also when it is asked for later', async () => {
  await withRegistry(async (registry) => {
    const layout = await layoutOf();
    await registry.push(layout.root, 'latest', 'app:latest');
    await withStore(async (store) => {
      const { name } = await store.pull({ reference: `${registry.address}/app`, tlsVerify: false });
      assert.is(name, `${registry.address}/app:latest`);
      assert.is(store.get(`${registry.address}/app`).digest, layout.manifestDigest);
    });
  });
});

testWithTools('what is there under the same digest is not fetched again, and gets the name', async () => {
  const layout = await layoutOf();
  const registry = await startLyingRegistry(layout);
  try {
    await withStore(async (store) => {
      const pull = (name: string) =>
        store.pull({ reference: `${registry.address}/${name}`, tlsVerify: false });
      await pull('app:1');
      const again = await pull('app:2');
      assert.is(registry.layerRequestCount, 1);
      assert.equal(again.names, [`${registry.address}/app:1`, `${registry.address}/app:2`]);
    });
  } finally {
    registry.close();
  }
});

testWithTools('an image that is pinned by its digest has no tag, and goes by that name', async () => {
  await withRegistry(async (registry) => {
    const layout = await layoutOf();
    await registry.push(layout.root, 'latest', 'app:1');
    await withStore(async (store) => {
      const reference = `${registry.address}/app@${layout.manifestDigest}`;
      const image = await store.pull({ reference, tlsVerify: false });
      assert.equal(image.names, []);
      assert.is(image.name, reference);
      await store.remove(reference);
      assert.equal(store.list(), []);
    });
  });
});

testWithTools('a tag that has moved takes its name along, and the old image stays without one', async () => {
  await withRegistry(async (registry) => {
    const [old, young] = [await layoutOf(), await layoutOf({ config: { Cmd: ['/hello'] } })];
    await withStore(async (store) => {
      const reference = `${registry.address}/app:1`;
      for (const { root } of [old, young]) {
        await registry.push(root, 'latest', 'app:1');
        await store.pull({ reference, tlsVerify: false });
      }
      assert.is(store.get(reference).digest, young.manifestDigest);
      assert.equal(store.get(old.manifestDigest).names, []);
    });
  });
});

testWithTools('of an image for several machines the one for guests is taken', async () => {
  const mediaType = 'application/vnd.oci.image.index.v1+json';
  await withRegistry(async (registry) => {
    const manifests: object[] = [];
    for (const architecture of ['arm64', 'amd64']) {
      const { root } = await layoutOf({ architecture });
      await registry.push(root, 'latest', `app:${architecture}`);
      const [manifest] = readIndex(root);
      manifests.push({ ...manifest, platform: { os: 'linux', architecture } });
    }
    const body = JSON.stringify({ schemaVersion: 2, mediaType, manifests });
    const answer = await fetch(`http://${registry.address}/v2/app/manifests/many`, {
      method: 'PUT',
      headers: { 'content-type': mediaType },
      body,
    });
    assert.is(answer.status, 201, await answer.text());
    const { digest } = manifests[1] as { digest: string };
    await withStore(async (store) => {
      const image = await store.pull({ reference: `${registry.address}/app:many`, tlsVerify: false });
      assert.is(image.digest, digest);
      assert.equal(image.repoDigests, [
        `${registry.address}/app@${digest}`,
        `${registry.address}/app@${digestOf(Buffer.from(body))}`,
      ]);
    });
  });
});

testWithTools('credentials come from an auth file, and without them the registry refuses', async () => {
  const htpasswd = 'user:$2b$04$m1SZDUua9VZJuK4be/Dlouk8qDwMF65rxOrrtc.8mj/Wrg9wC65Se\n';
  await withRegistry(async (registry) => {
    const layout = await layoutOf();
    await registry.push(layout.root, 'latest', 'app:1');
    const authFile = fresh('auth.json');
    const auth = Buffer.from('user:secret').toString('base64');
    writeFileSync(authFile, JSON.stringify({ auths: { [registry.address]: { auth } } }));
    await withStore(async (store) => {
      const request = { reference: `${registry.address}/app:1`, tlsVerify: false };
      assert.is((await rejection(store.pull(request))).code, 'unauthorized');
      assert.is((await store.pull({ ...request, authFile })).digest, layout.manifestDigest);
    });
  }, htpasswd);
});

testWithTools('what the registry does not have is not found', async () => {
  await withRegistry(async (registry) => {
    await withStore(async (store) => {
      const error = await rejection(
        store.pull({ reference: `${registry.address}/none:1`, tlsVerify: false }),
      );
      assert.is(error.code, 'not_found');
      assert.match(error.message, `pull image ${registry.address}/none:1: `);
    });
  });
});

testWithTools('a registry without TLS is refused unless that is asked for', async () => {
  await withRegistry(async (registry) => {
    await withStore(async (store) => {
      const error = await rejection(store.pull({ reference: `${registry.address}/app:1` }));
      assert.match(error.message, /HTTPS|https/);
    });
  });
});

testWithTools('a manifest that is not the pinned one is refused', async () => {
  const other = await layoutOf({ config: {} });
  const manifest = readFileSync(other.blobPath(other.manifestDigest));
  const { error } = await refusal({ manifest }, { digest: `sha256:${'1'.repeat(64)}` });
  assert.is(error.code, 'digest_mismatch');
});

testWithTools('a layer that is not the one of the manifest is refused', async () => {
  const { error } = await refusal({
    layer(response, whole) {
      const wrong = Buffer.from(whole);
      wrong[wrong.length - 9]! ^= 1;
      response.end(wrong);
    },
  });
  assert.is(error.code, 'digest_mismatch');
});

testWithTools('a layer that breaks off is refused', async () => {
  const { error } = await refusal({
    layer(response, whole) {
      response.setHeader('content-length', whole.length);
      response.write(whole.subarray(0, 20), () => response.socket?.destroy());
    },
  });
  assert.match(error.code, /digest_mismatch|registry_failed/);
});

testWithTools('a layer that is longer than was said is cut off on the way', async () => {
  const { error } = await refusal({
    layer(response) {
      const chunk = Buffer.alloc(1024 * 1024);
      const send = () => {
        if (!response.destroyed) response.write(chunk, send);
      };
      send();
    },
  });
  assert.is(error.code, 'invalid_image');
  assert.match(error.message, 'bytes that were said');
});

testWithTools('a registry that falls silent is given up', async () => {
  const { error } = await refusal({ silent: true }, { limits: { lookUpTimeoutMs: 700 } });
  assert.is(error.code, 'deadline_exceeded');
  const stalled = await refusal(
    { layer: (response, whole) => void response.write(whole.subarray(0, 20)) },
    { limits: { stallTimeoutMs: 700 } },
  );
  assert.is(stalled.error.code, 'deadline_exceeded');
  assert.match(stalled.error.message, 'nothing came for 700 ms');
});

testWithTools('an image that says it is too large is refused before a layer is fetched', async () => {
  const huge = {
    schemaVersion: 2,
    config: { mediaType: 'x', digest: `sha256:${'a'.repeat(64)}`, size: 10 },
    layers: [{ mediaType: 'x', digest: `sha256:${'b'.repeat(64)}`, size: 2 ** 50 }],
  };
  const { error, registry } = await refusal({ manifest: Buffer.from(JSON.stringify(huge)) });
  assert.is(error.code, 'invalid_image');
  assert.match(error.message, /has 1125899906842634 bytes, the limit is \d+ bytes/);
  assert.is(registry.layerRequestCount, 0);
});

testWithTools('a manifest that is none is refused', async () => {
  for (const text of ['{}', 'no JSON', '{"schemaVersion":1,"fsLayers":[]}']) {
    const { error } = await refusal({ manifest: Buffer.from(text) });
    assert.is(error.code, 'invalid_image', error.message);
  }
});

testWithTools('a pull that is cancelled leaves nothing', async () => {
  const layout = await layoutOf();
  const registry = await startLyingRegistry(layout, {
    layer: (response, whole) => void response.write(whole.subarray(0, 20)),
  });
  try {
    await withStore(async (store, directory) => {
      const cancelling = new AbortController();
      const pulling = rejection(
        store.pull(
          { reference: `${registry.address}/app:1`, tlsVerify: false },
          { signal: cancelling.signal },
        ),
      );
      await until('the layer is asked for', () => registry.layerRequestCount > 0);
      cancelling.abort();
      assert.match((await pulling).message, 'cancelled');
      assert.equal(readdirSync(directory), []);
    });
  } finally {
    registry.close();
  }
});

test('a reference that is none is refused before anybody is asked', async () => {
  await withStore(async (store) => {
    for (const reference of [
      '',
      '-x',
      'a b',
      'a@sha256:1',
      'a:b:c',
      'A//b',
      '../a',
      'a@b@c',
      `${'a'.repeat(600)}`,
    ]) {
      const error = await rejection(store.pull({ reference }));
      assert.is(error.code, 'invalid_request', reference);
    }
    const error = await rejection(store.pull({ reference: 'a', authFile: 'relative' }));
    assert.match(error.message, "the auth file's path is not absolute");
  });
});

test.run();
