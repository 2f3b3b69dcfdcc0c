import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openImageStore } from '../../../offload-plane/images/image-store.ts';
import { runTool } from '../../../offload-plane/images/run-tool.ts';
import { OffloadError } from '../../../platform/errors.ts';
import { buildDemoImages } from '../../../testbed/images/build-demo-images.ts';
import { rejection } from '../../helpers/rejection.ts';
import { tempDirectory } from '../../helpers/temp-directory.ts';
import { cannotBuildReason, demoImages } from './demo-fixture.ts';

const reason = cannotBuildReason();
const MIB = 1024 * 1024;

function testBuild(title: string, body: () => Promise<void>): void {
  if (reason === '') test(title, body);
  else console.log(`skipped: ${title}: ${reason}`);
}

testBuild('both demo images are imported as block images that check out', async () => {
  const images = await demoImages();
  const store = await openImageStore({ directory: join(tempDirectory('images'), 'images') });
  const redis = await store.import({ path: images.redis });
  const node = await store.import({ path: images.node });
  assert.is(redis.name, 'redis');
  assert.equal(redis.config.command, ['/usr/bin/redis-server', '/etc/redis/redis.conf']);
  assert.equal(redis.config.exposedPorts, [6379]);
  assert.ok(redis.rootfsBytes < 60 * MIB, `${redis.rootfsBytes} bytes`);
  assert.is(node.config.command[0], '/usr/bin/node');
  assert.equal(node.config.exposedPorts, [8080]);
  assert.ok(node.rootfsBytes < 200 * MIB, `${node.rootfsBytes} bytes`);
  const extracted = join(tempDirectory('images'), 'root');
  mkdirSync(extracted);
  for (const { rootfsPath } of [redis, node]) {
    // The second image goes over the first, which the tool warns of.
    execFileSync('fsck.erofs', [`--extract=${extracted}`, '--overwrite', rootfsPath], { stdio: 'ignore' });
  }
  assert.is(statSync(join(extracted, 'tmp')).mode & 0o7777, 0o1777);
  const inRoot = (...argv: string[]) => {
    const options = { encoding: 'utf8', env: { PATH: process.env.PATH } } as const;
    return execFileSync('chroot', [extracted, ...argv], options).trim();
  };
  assert.is(inRoot('/usr/bin/node', '--version'), process.version);
  assert.match(inRoot('/bin/sh', '-c', 'redis-server --version'), 'Redis server');
  await store.close();
});

testBuild('images in the cache are not built again', async () => {
  const first = await demoImages();
  const steps: string[] = [];
  const run = async () => {
    throw new Error('a tool was run');
  };
  assert.equal(await buildDemoImages({ run, onProgress: ({ step }) => steps.push(step) }), first);
  assert.equal(steps, ['cached']);
});

test('a build that fails leaves nothing, and removes what a killed one left', async () => {
  const cacheDirectory = tempDirectory('images');
  mkdirSync(join(cacheDirectory, '.build-killed', 'debian'), { recursive: true });
  const run: typeof runTool = async (file, args, options) => {
    if (file === 'mmdebstrap') throw new OffloadError('runtime_failed', 'mmdebstrap: no network');
    return await runTool(file, args, options);
  };
  const error = await rejection(buildDemoImages({ cacheDirectory, run }));
  assert.is(error.message, 'mmdebstrap: no network');
  assert.equal(readdirSync(cacheDirectory), []);
});

test.run();
