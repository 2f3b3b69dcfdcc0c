/** A plane with a browser in front of it: real guests, a warm container restored twice, and one with a shell. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { pollUntil } from '../../platform/deadline.ts';
import { freePort } from '../../testbed/scenarios/free-port.ts';
import { startTestbed, type Testbed } from '../../testbed/testbed.ts';
import { WORKLOADS } from '../../testbed/workloads/workloads.ts';
import { launchBrowser } from './browser.ts';
import { buildBusyboxImage } from './busybox-image.ts';
import { tempDirectory } from './temp-directory.ts';

export interface Scene {
  testbed: Testbed;
  browser: Browser;
  /** With the token. */
  url: string;
  /** Restores the warm checkpoint, asks it something, and waits for its last page. */
  restore(name: string, policy: 'lazy' | 'ordered' | 'prefill' | 'eager'): Promise<void>;
  /** Asks the restored container for what was in it. */
  ask(name: string): Promise<void>;
  stop(): Promise<void>;
}

const TOKEN = 'the-token-of-a-scene-that-ends-soon';
const GUEST = { memoryMiB: 768, vcpus: 2 };
/** Says something ten times a second, for ever. */
const CHATTER = 'i=0; while true; do echo "line $i"; i=$((i+1)); sleep 0.1; done';

export async function startScene(onProgress: (text: string) => void): Promise<Scene> {
  const directory = tempDirectory('scene');
  const tokenFile = join(directory, 'token');
  writeFileSync(tokenFile, TOKEN, { mode: 0o600 });
  const port = await freePort();
  const testbed = await startTestbed({
    guests: [
      { name: 'origin', ...GUEST },
      { name: 'target', ...GUEST },
    ],
    planeArgs: ['--listen', `127.0.0.1:${port}`, '--token-file', tokenFile],
    onProgress,
  });
  const { plane, deadlineScale } = testbed;
  const { redis } = WORKLOADS;
  const deadlineMs = 60_000 * deadlineScale;
  let browser: Browser | undefined;
  const stop = async () => {
    await browser?.close();
    await testbed.stop();
  };
  const endpointOf = async (name: string) => {
    const { ports } = await plane.containers.inspect(name);
    return { host: '127.0.0.1', port: ports[0]!.hostPort };
  };
  try {
    await testbed.importDemoImages(onProgress);
    await plane.images.import({ path: await buildBusyboxImage(directory), name: 'busybox' });
    await plane.containers.create({
      ...{ name: 'chatter', guest: 'origin', image: 'busybox' },
      entrypoint: ['/bin/sh', '-c', CHATTER],
    });
    await plane.containers.start('chatter');
    const ports = [{ containerPort: redis.containerPort }];
    await plane.containers.create({ name: 'cache', guest: 'origin', image: 'redis', ports });
    await plane.containers.start('cache');
    onProgress('warming up');
    await redis.waitReady(await endpointOf('cache'), deadlineMs);
    const facts = await redis.warmUp(await endpointOf('cache'), { dataMiB: 16 }, { deadlineMs });
    onProgress('checkpointing');
    await plane.checkpoints.create({ container: 'cache', id: 'cache-warm', after: 'resume' });
    browser = await launchBrowser();
    const ask = async (name: string) => {
      await redis.firstRequest(await endpointOf(name), facts, { deadlineMs });
    };
    return {
      ...{ testbed, browser, ask, stop, url: `http://127.0.0.1:${port}/#token=${TOKEN}` },
      async restore(name, policy) {
        onProgress(`restoring ${name}`);
        const { id } = await plane.restores.create({
          checkpoint: 'cache-warm',
          guest: 'target',
          name,
          policy,
        });
        await ask(name);
        await pollUntil(
          async () => ((await plane.restores.inspect(id)).phase === 'complete' ? true : undefined),
          { timeoutMs: deadlineMs, intervalMs: 50, what: `all pages of ${name}` },
        );
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
