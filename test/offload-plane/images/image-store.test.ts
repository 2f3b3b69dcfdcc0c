import { execFileSync, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openImageStore } from '../../../offload-plane/images/image-store.ts';
import { type RunTool, runTool } from '../../../offload-plane/images/run-tool.ts';
import { OffloadError } from '../../../platform/errors.ts';
import { rejection } from '../../helpers/rejection.ts';
import { tempDirectory } from '../../helpers/temp-directory.ts';
import {
  type FixtureOptions,
  layoutEntries,
  makeLayout,
  makeTar,
  readIndex,
  writeIndex,
} from './layout-fixture.ts';

const scratch = tempDirectory('images');
let count = 0;
const fresh = (name: string) => join(scratch, `${++count}-${name}`);
const layout = async (options?: FixtureOptions) => await makeLayout(fresh('layout'), options);

const missing = ['umoci', 'mkfs.erofs', 'dump.erofs'].filter((tool) => spawnSync(tool, ['--help']).error);
const isRoot = process.getuid?.() === 0;
const reason = missing.length > 0 ? `not installed: ${missing.join(', ')}` : isRoot ? '' : 'needs root';
function testWithTools(title: string, body: () => Promise<void>): void {
  if (reason === '') test(title, body);
  else console.log(`skipped: ${title}: ${reason}`);
}

/** For images that must be refused before any tool sees them. */
const noTool: RunTool = async (file) => {
  throw new Error(`${file} was run`);
};

async function refusal(path: string, options: { tag?: string; run?: RunTool } = {}) {
  const directory = fresh('store');
  const store = await openImageStore({ directory, run: options.run ?? noTool });
  const error = await rejection(
    store.import({ path, name: 'x', ...(options.tag ? { tag: options.tag } : {}) }),
  );
  assert.equal(store.list(), []);
  assert.equal(readdirSync(directory), [], 'nothing is left over');
  await store.close();
  return error;
}

testWithTools('an imported image is a block image and the facts to run it', async () => {
  const { root, manifestDigest, configDigest, blobPath } = await layout();
  const directory = fresh('store');
  const store = await openImageStore({ directory });
  const phases = new Set<string>();
  const record = await store.import(
    { path: root, name: 'web' },
    { onProgress: ({ phase }) => void phases.add(phase) },
  );
  assert.equal([...phases], ['verify', 'unpack', 'build']);
  assert.is(record.digest, manifestDigest);
  assert.is(record.name, 'web');
  assert.equal(record.config, {
    command: ['/hello', '--now'],
    env: ['A=1'],
    workingDir: '/',
    user: '101:102',
    exposedPorts: [80, 8080],
    entrypoint: ['/hello'],
  });
  assert.equal(
    readFileSync(join(directory, manifestDigest.slice(7), 'config.json')),
    readFileSync(blobPath(configDigest)),
  );
  assert.is(readFileSync(record.rootfsPath).length, record.rootfsBytes);
  assert.is(record.rootfsBytes % 4096, 0);
  const file = execFileSync('dump.erofs', ['--path=/hello', record.rootfsPath], {
    encoding: 'utf8',
    env: { ...process.env, TZ: 'UTC' },
  });
  assert.match(file, 'Size: 6 ');
  assert.match(file, /Uid: 7 +Gid: 8 +Access: 0750/);
  assert.match(file, 'Timestamp: 2021-03-04 05:06:07');

  const reopened = await openImageStore({ directory });
  assert.equal(reopened.get('web'), record);
  assert.equal(reopened.get(manifestDigest), record);
  assert.equal(reopened.list(), [record]);
});

testWithTools('the same image gives the same bytes in another store', async () => {
  const { root } = await layout();
  const images: Buffer[] = [];
  for (const name of ['a', 'b']) {
    const store = await openImageStore({ directory: fresh(`store:${name}`) });
    images.push(readFileSync((await store.import({ path: root, name })).rootfsPath));
  }
  assert.ok(images[0]!.equals(images[1]!));
});

testWithTools('a tar of the layout is the same image', async () => {
  const { root, manifestDigest } = await layout();
  const path = `${fresh('archive')}.tar`;
  writeFileSync(path, await makeTar(layoutEntries(root)));
  const directory = fresh('store');
  const store = await openImageStore({ directory });
  const record = await store.import({ path });
  assert.is(record.digest, manifestDigest);
  assert.match(record.name, /-archive$/);
  assert.equal(readdirSync(directory).sort(), [manifestDigest.slice(7), 'names.json'].sort());
});

testWithTools('importing an image again runs no tool and adds a name', async () => {
  const { root } = await layout();
  let runCount = 0;
  const run: RunTool = async (...args) => {
    runCount += 1;
    return await runTool(...args);
  };
  const store = await openImageStore({ directory: fresh('store'), run });
  const [first, second] = await Promise.all([
    store.import({ path: root, name: 'one' }),
    store.import({ path: root, name: 'two' }),
  ]);
  assert.is(runCount, 3);
  assert.is(first.digest, second.digest);
  assert.equal(
    store.list().map((record) => record.names.toSorted()),
    [['one', 'two']],
  );

  await store.remove('one');
  assert.is(store.get(first.digest).name, 'two');
  await store.remove('two');
  assert.is((await rejection(Promise.resolve().then(() => store.get(first.digest)))).code, 'not_found');
  assert.not(existsSync(first.rootfsPath));
  assert.is((await rejection(store.remove('two'))).code, 'not_found');
});

test('a blob with one wrong byte is refused by its digest', async () => {
  for (const which of ['layerDigest', 'configDigest', 'manifestDigest'] as const) {
    const made = await layout();
    const path = made.blobPath(made[which]);
    const bytes = readFileSync(path);
    bytes[bytes.length - 3]! ^= 1;
    writeFileSync(path, bytes);
    const error = await refusal(made.root);
    assert.is(error.code, 'digest_mismatch');
    assert.match(
      error.message,
      `import image ${made.root}: blob ${made[which]}: its content has the digest sha256:`,
    );
  }
});

test('a truncated blob is refused with both sizes', async () => {
  const made = await layout();
  const path = made.blobPath(made.layerDigest);
  const { length } = readFileSync(path);
  truncateSync(path, length - 1);
  const error = await refusal(made.root);
  assert.is(error.code, 'digest_mismatch');
  assert.match(
    error.message,
    `blob ${made.layerDigest}: has ${length - 1} bytes, its descriptor says ${length} bytes`,
  );
});

test('a descriptor with the wrong size is refused even when the digest is right', async () => {
  const { root, manifestDigest } = await layout();
  const [manifest] = readIndex(root) as { size: number }[];
  writeIndex(root, [{ ...manifest, size: manifest!.size + 1 }]);
  const error = await refusal(root);
  assert.is(error.code, 'digest_mismatch');
  assert.match(error.message, manifestDigest);
});

test('a layout of another version is refused', async () => {
  const { root } = await layout({ layoutVersion: '2.0.0' });
  assert.match((await refusal(root)).message, 'oci-layout: version "2.0.0" is not 1.0.0');
});

test('what is missing is named', async () => {
  const noManifest = await layout();
  rmSync(noManifest.blobPath(noManifest.manifestDigest));
  const error = await refusal(noManifest.root);
  assert.is(error.code, 'invalid_image');
  assert.match(error.message, `blob ${noManifest.manifestDigest}: is missing`);

  const empty = fresh('empty');
  mkdirSync(empty);
  assert.match((await refusal(empty)).message, 'oci-layout: is missing');
  assert.is((await refusal(join(scratch, 'nowhere'))).code, 'invalid_request');
});

test('a blob that is a link out of the layout, or no file at all, is refused', async () => {
  const made = await layout();
  const path = made.blobPath(made.manifestDigest);
  rmSync(path);
  symlinkSync('/etc/passwd', path);
  assert.match((await refusal(made.root)).message, 'is a link out of the layout');
  rmSync(path);
  execFileSync('mkfifo', [path]);
  assert.match((await refusal(made.root)).message, 'is not a regular file');
});

test('an image for another machine, or of unknown layers, is refused', async () => {
  const arm = await layout({ architecture: 'arm64' });
  assert.match((await refusal(arm.root)).message, 'is for linux/arm64, guests are linux/amd64');
  const zstd = await layout({ layerMediaType: 'application/vnd.oci.image.layer.v1.tar+zstd' });
  assert.match(
    (await refusal(zstd.root)).message,
    'media type "application/vnd.oci.image.layer.v1.tar+zstd" is not supported',
  );
});

test('a layer that leads out of the root filesystem never reaches a tool', async () => {
  const { root } = await layout({ entries: [{ name: '../../escape', content: 'x' }] });
  const error = await refusal(root);
  assert.is(error.code, 'invalid_image');
  assert.match(error.message, 'entry "../../escape": leads out of the root filesystem');
});

test('a config that does not fit the schema is refused with the place', async () => {
  const { root } = await layout({ config: { Env: ['no equals sign'] } });
  assert.match((await refusal(root)).message, /config sha256:[0-9a-f]{64}: \/config/);
});

test('a tool that fails leaves nothing behind and is named', async () => {
  const { root } = await layout();
  const run: RunTool = async (file) => {
    throw new OffloadError('runtime_failed', `${file} raw: broken`);
  };
  const error = await refusal(root, { run });
  assert.is(error.message, `import image ${root}: umoci raw: broken`);
});

test('closing the store ends an import that is under way', async () => {
  const { root } = await layout();
  let began = () => {};
  const beginning = new Promise<void>((resolve) => {
    began = resolve;
  });
  const run: RunTool = async (_file, _args, options) => {
    began();
    return await runTool('sleep', ['60'], options);
  };
  const directory = fresh('store');
  const store = await openImageStore({ directory, run });
  const importing = rejection(store.import({ path: root, name: 'x' }));
  await beginning;
  await store.close();
  assert.match((await importing).message, 'the image store is closing');
  assert.equal(readdirSync(directory), []);
});

test('an import that takes too long ends at its deadline', async () => {
  const { root } = await layout();
  const run: RunTool = async (_file, _args, options) => await runTool('sleep', ['60'], options);
  const store = await openImageStore({ directory: fresh('store'), run, limits: { importTimeoutMs: 150 } });
  const error = await rejection(store.import({ path: root, name: 'x' }));
  assert.is(error.code, 'deadline_exceeded');
  assert.match(error.message, '150 ms');
});

test('more imports than may wait are refused', async () => {
  const { root } = await layout();
  const store = await openImageStore({
    directory: fresh('store'),
    run: noTool,
    limits: { importCountMax: 1 },
  });
  const first = store.import({ path: root, name: 'x' }).catch(() => {});
  const error = await rejection(store.import({ path: root, name: 'y' }));
  assert.match(error.message, 'the limit is 1 imports');
  await first;
});

test('what killed imports left is removed when the store is opened', async () => {
  const directory = fresh('store');
  const half = 'e'.repeat(64);
  for (const name of ['.import-abc/image/rootfs', '.trash-def', half]) {
    mkdirSync(join(directory, name), { recursive: true });
  }
  writeFileSync(join(directory, half, 'rootfs.erofs'), 'half');
  writeFileSync(join(directory, 'names.json.new'), '{');
  writeFileSync(join(directory, 'unrelated'), 'stays');
  const warnings: object[] = [];
  const logger = { info: () => {}, warn: (fields: object) => warnings.push(fields) };
  const store = await openImageStore({ directory, logger });
  assert.equal(store.list(), []);
  assert.equal(readdirSync(directory), ['unrelated']);
  assert.is(warnings.length, 4);
});

test.run();
