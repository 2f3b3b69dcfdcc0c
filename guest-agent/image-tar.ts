/** The tar that carries CRIU's metadata images and the root filesystem's changes, both ways. */
import { createReadStream, createWriteStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import tar from 'tar-stream';
import { OffloadError } from '../platform/errors.ts';

const ROOTFS_DIFF = 'rootfs-diff.tar';
/** CRIU's names: letters, digits, dots and dashes (pagemap-1.img, descriptors.json). */
const IMAGE_ENTRY = /^images\/([a-z0-9][a-z0-9_.-]{0,127})$/;
const MAX_IMAGE_BYTES = 64 * 1024 * 1024;

/** @throws {OffloadError} invalid_request for an entry that is neither an image nor the rootfs diff */
export async function unpackImages(
  source: Readable,
  targets: { images: string; rootfsDiff: string },
): Promise<void> {
  const extract = tar.extract();
  const fed = pipeline(source, extract);
  fed.catch(() => undefined);
  for await (const entry of extract) {
    const { name, size = 0, type } = entry.header;
    if (type !== 'file') throw new OffloadError('invalid_request', `images tar: ${name} is no plain file`);
    await pipeline(entry, createWriteStream(targetOf(name, size, targets)));
  }
  await fed;
}

function targetOf(name: string, sizeBytes: number, targets: { images: string; rootfsDiff: string }): string {
  if (name === ROOTFS_DIFF) return targets.rootfsDiff;
  const image = IMAGE_ENTRY.exec(name)?.[1];
  if (image === undefined) throw new OffloadError('invalid_request', `images tar: unexpected entry ${name}`);
  if (sizeBytes > MAX_IMAGE_BYTES) {
    throw new OffloadError(
      'invalid_request',
      `images tar: ${name} has ${sizeBytes} bytes, limit ${MAX_IMAGE_BYTES} bytes`,
    );
  }
  return join(targets.images, image);
}

/** Packs the images of `directory` that pass `filter`, and the rootfs diff when there is one. */
export function packImages(
  directory: string,
  rootfsDiff: string,
  filter: (name: string) => boolean,
): Readable {
  const pack = tar.pack();
  void (async () => {
    for (const name of (await readdir(directory)).filter(filter)) {
      await packFile(pack, `images/${name}`, join(directory, name));
    }
    if (await stat(rootfsDiff).catch(() => undefined)) await packFile(pack, ROOTFS_DIFF, rootfsDiff);
    pack.finalize();
  })().catch((error: Error) => pack.destroy(error));
  return pack as unknown as Readable;
}

async function packFile(pack: tar.Pack, name: string, path: string): Promise<void> {
  const { size } = await stat(path);
  const entry = pack.entry({ name, size });
  await pipeline(createReadStream(path), entry);
}
