/** An image with bash, whose $SRANDOM asks the C library for random numbers each time, from the guest's own Debian. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { PlaneClient } from '../../offload-plane/client/index.ts';
import { runTool } from '../../offload-plane/images/run-tool.ts';
import { layOutTree } from '../../testbed/images/image-tree.ts';
import { writeOciLayout } from '../../testbed/images/oci-layout.ts';
import type { ImageRecipe } from '../../testbed/images/recipes.ts';
import { prepareImage } from '../../testbed/qemu/prepare.ts';
import { tempDirectory } from './temp-directory.ts';

const RECIPE: ImageRecipe = {
  name: 'bash',
  programs: ['usr/bin/bash', 'usr/bin/sleep'],
  files: [],
  texts: [],
  links: { bin: 'usr/bin', lib: 'usr/lib', lib64: 'usr/lib64' },
  directories: ['dev', 'proc', 'sys', 'etc', 'usr/bin', 'tmp'].map((path) => ({ path, mode: 0o755 })),
  entrypoint: ['/usr/bin/bash'],
  env: ['PATH=/usr/bin'],
  workingDir: '/',
  port: 1,
};

export async function importBash(plane: PlaneClient): Promise<void> {
  const { image } = await prepareImage(() => {});
  const directory = tempDirectory('bash-image');
  const root = join(directory, 'bash.root');
  await mkdir(root);
  await layOutTree({ recipe: RECIPE, debian: image.rootfsPath, root, run: runTool });
  const path = await writeOciLayout({ recipe: RECIPE, directory, run: runTool });
  await plane.images.import({ path, name: 'bash' });
}
