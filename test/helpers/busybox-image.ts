/** An image with busybox and nothing else, made from the guest image's own: shell, top, less, vi, stty and tar. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { runTool } from '../../offload-plane/images/run-tool.ts';
import { layOutTree } from '../../testbed/images/image-tree.ts';
import { writeOciLayout } from '../../testbed/images/oci-layout.ts';
import type { ImageRecipe } from '../../testbed/images/recipes.ts';
import { prepareImage } from '../../testbed/qemu/prepare.ts';

const TEXTS = [
  {
    target: 'etc/passwd',
    text: 'root:x:0:0:root:/root:/bin/sh\nuser:x:1000:100:user:/home/user:/bin/sh\n',
  },
  { target: 'etc/group', text: 'root:x:0:\nusers:x:100:\n' },
];

/** @returns an OCI layout below `directory`, tagged `busybox`; its command is a shell */
export async function buildBusyboxImage(directory: string): Promise<string> {
  const { image } = await prepareImage(() => {});
  const busybox = join(image.rootfsPath, 'usr/bin/busybox');
  const applets = execFileSync(busybox, ['--list'], { encoding: 'utf8' }).trim().split('\n');
  const recipe: ImageRecipe = {
    name: 'busybox',
    programs: [],
    files: [{ target: 'bin/busybox', source: busybox, mode: 0o755 }],
    texts: TEXTS,
    links: Object.fromEntries(
      applets.filter((name) => name !== 'busybox').map((name) => [`bin/${name}`, 'busybox']),
    ),
    directories: [
      ...['bin', 'dev', 'etc', 'home/user', 'proc', 'root', 'sys', 'run'].map((path) => ({
        path,
        mode: 0o755,
      })),
      { path: 'tmp', mode: 0o1777 },
    ],
    entrypoint: ['/bin/sh'],
    env: ['PATH=/bin'],
    workingDir: '/',
    port: 80,
  };
  const root = join(directory, 'busybox.root');
  mkdirSync(root, { recursive: true });
  await layOutTree({ recipe, debian: '/', root, run: runTool });
  if (readdirSync(root).length === 0) throw new Error('the image has nothing in it');
  return writeOciLayout({ recipe, directory, run: runTool });
}
