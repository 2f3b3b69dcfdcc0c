/** The real programs that are restored beside the synthetic heap. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { buildDemoImages } from '../../testbed/images/build-demo-images.ts';
import { scratchDirectory } from '../../testbed/native/checkpoint.ts';
import { nodeServer } from '../../testbed/native/node-server.ts';
import { redisServer } from '../../testbed/native/redis-server.ts';
import type { NativeWorkload } from '../../testbed/native/workload.ts';
import { removeOnExit } from './remove-on-exit.ts';

export async function realPrograms(dataMiB: number): Promise<NativeWorkload[]> {
  return [await nodeServer(dataMiB), await redisServer(await redisTree(), dataMiB)];
}

/** The demo's Redis image, unpacked. */
async function redisTree(): Promise<string> {
  const { redis: layout } = await buildDemoImages();
  const blob = (digest: string) => join(layout, 'blobs', digest.replace(':', '/'));
  const read = (path: string) => JSON.parse(readFileSync(path, 'utf8'));
  const manifest = read(blob(read(join(layout, 'index.json')).manifests[0].digest));
  const tree = scratchDirectory();
  removeOnExit(tree);
  for (const layer of manifest.layers) {
    await execa('tar', ['-xf', blob(layer.digest), '-C', tree], { timeout: 60_000 });
  }
  return tree;
}
