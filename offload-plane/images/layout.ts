/**
 * An OCI image layout in a directory. Nothing read from it is believed until size and sha256 have been
 * compared with the descriptor that led to it.
 */
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open, realpath } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { OffloadError } from '../../platform/errors.ts';
import type { ImageLimits } from './limits.ts';
import type { Descriptor } from './oci-schema.ts';
import { LAYOUT_VERSION, OciLayout, parseOci } from './oci-schema.ts';

export interface Layout {
  /** Operation and subject, for messages: `import image PATH`. */
  subject: string;
  root: string;
  limits: ImageLimits;
}

/** @throws {OffloadError} invalid_image when the directory is no layout of a version that is known */
export async function checkLayoutVersion(layout: Layout): Promise<void> {
  const what = `${layout.subject}: oci-layout`;
  const { imageLayoutVersion } = parseOci(OciLayout, await readLayoutFile(layout, 'oci-layout'), what);
  if (imageLayoutVersion !== LAYOUT_VERSION) {
    throw new OffloadError(
      'invalid_image',
      `${what}: version ${JSON.stringify(imageLayoutVersion.slice(0, 40))} is not ${LAYOUT_VERSION}`,
    );
  }
}

/** A small file that no descriptor covers: `oci-layout` or `index.json`. */
export async function readLayoutFile(layout: Layout, name: string): Promise<Buffer> {
  const { file, sizeBytes } = await openInside(layout, name, name);
  try {
    boundJson(layout, name, sizeBytes);
    return await file.readFile();
  } finally {
    await file.close();
  }
}

/** A manifest, index or config: verified, then given whole. */
export async function readJsonBlob(layout: Layout, descriptor: Descriptor): Promise<Buffer> {
  boundJson(layout, `blob ${descriptor.digest}`, descriptor.size);
  const chunks: Buffer[] = [];
  await verifyBlob(layout, descriptor, { onChunk: (chunk) => chunks.push(chunk) });
  return Buffer.concat(chunks);
}

/**
 * Reads a blob to its end and compares size and sha256.
 * @throws {OffloadError} digest_mismatch naming the blob
 */
export async function verifyBlob(
  layout: Layout,
  descriptor: Descriptor,
  options: { onChunk?: (chunk: Buffer) => void; signal?: AbortSignal } = {},
): Promise<void> {
  const what = `${layout.subject}: blob ${descriptor.digest}`;
  const { file, sizeBytes } = await openInside(layout, blobPath(descriptor), `blob ${descriptor.digest}`);
  try {
    if (sizeBytes !== descriptor.size) {
      throw new OffloadError(
        'digest_mismatch',
        `${what}: has ${sizeBytes} bytes, its descriptor says ${descriptor.size} bytes`,
      );
    }
    const hash = createHash('sha256');
    const stream = file.createReadStream({
      autoClose: false,
      highWaterMark: 1024 * 1024,
      ...(options.signal ? { signal: options.signal } : {}),
    });
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      hash.update(chunk);
      options.onChunk?.(chunk);
    }
    const actual = `sha256:${hash.digest('hex')}`;
    if (actual !== descriptor.digest) {
      throw new OffloadError('digest_mismatch', `${what}: its content has the digest ${actual}`);
    }
  } finally {
    await file.close();
  }
}

export function blobPath(descriptor: Descriptor): string {
  return join('blobs', 'sha256', descriptor.digest.slice('sha256:'.length));
}

function boundJson(layout: Layout, what: string, sizeBytes: number): void {
  const limit = layout.limits.jsonBlobBytesMax;
  if (sizeBytes > limit) {
    throw new OffloadError(
      'invalid_image',
      `${layout.subject}: ${what}: ${sizeBytes} bytes, the limit for JSON is ${limit} bytes`,
    );
  }
}

/** Opens a regular file that really lies inside the layout; a link that leads out of it is refused. */
async function openInside(
  layout: Layout,
  name: string,
  what: string,
): Promise<{ file: FileHandle; sizeBytes: number }> {
  let file: FileHandle;
  try {
    const root = await realpath(layout.root);
    const path = await realpath(join(root, name));
    if (!path.startsWith(root.endsWith(sep) ? root : root + sep)) {
      throw new OffloadError('invalid_image', `${layout.subject}: ${what}: is a link out of the layout`);
    }
    // O_NONBLOCK: a FIFO in a blob's place would hold the open for ever.
    file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if (error instanceof OffloadError) throw error;
    const cause =
      (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'is missing' : (error as Error).message;
    throw new OffloadError('invalid_image', `${layout.subject}: ${what}: ${cause}`, { cause: error });
  }
  const stats = await file.stat();
  if (stats.isFile()) return { file, sizeBytes: stats.size };
  await file.close();
  throw new OffloadError('invalid_image', `${layout.subject}: ${what}: is not a regular file`);
}
