/** What is sent for a restore before it begins: CRIU's images and the root filesystem's changes. */
import { mkdir, rm, rmdir } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { unpackImages } from './image-tar.ts';
import type { ContainerPaths } from './paths.ts';

export async function receiveImages(own: ContainerPaths, tar: Readable): Promise<void> {
  await rm(own.restoreImages, { recursive: true, force: true });
  await mkdir(own.restoreImages, { recursive: true });
  await mkdir(own.data, { recursive: true });
  await unpackImages(tar, { images: own.restoreImages, rootfsDiff: own.restoreRootfsDiff });
}

/** For a restore that never began. Of a container, which may have volumes mounted there, nothing is touched. */
export async function dropImages(own: ContainerPaths): Promise<void> {
  await rm(own.restoreImages, { recursive: true, force: true });
  await rm(own.restoreRootfsDiff, { force: true });
  for (const directory of [own.bundle, own.data]) await rmdir(directory).catch(() => undefined);
}
