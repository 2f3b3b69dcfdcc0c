/** A layout that comes as a tar is laid out in a directory of ours first; only what a layout consists of is written. */
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Header } from 'tar-stream';
import { OffloadError } from '../../platform/errors.ts';
import { readTar } from '../../platform/read-tar.ts';
import { entrySegments, printable } from './entry-path.ts';
import type { ImageLimits } from './limits.ts';

const LAYOUT_FILE = /^(oci-layout|index\.json|blobs\/sha256\/[0-9a-f]{64})$/;

export interface ExpandTarOptions {
  subject: string;
  tarPath: string;
  /** An empty directory of ours. */
  destination: string;
  limits: ImageLimits;
  signal: AbortSignal;
  onBytes?: (byteCount: number) => void;
}

/**
 * The tar cannot grow on disk (a layout tar is not compressed), so its own size bounds what is written.
 * @throws {OffloadError} invalid_image for links, devices, paths that lead outside, and more than the limits allow
 */
export async function expandLayoutTar(options: ExpandTarOptions): Promise<void> {
  await checkTarFile(options);
  await mkdir(join(options.destination, 'blobs', 'sha256'), { recursive: true });
  const entries = readTar();
  const feeding = pipeline(createReadStream(options.tarPath), entries, { signal: options.signal });
  // The error is thrown by the await below; until then nobody listens.
  feeding.catch(() => {});
  let entryCount = 0;
  try {
    for await (const entry of entries) {
      entryCount += 1;
      const name = acceptedFile(entry.header, entryCount, options);
      if (name === undefined) {
        entry.resume();
        continue;
      }
      const file = createWriteStream(join(options.destination, name), { flags: 'wx', mode: 0o600 });
      // streamx streams are iterable, but are not instances of Node's own classes.
      await pipeline(entry as AsyncIterable<Buffer>, file, { signal: options.signal });
      options.onBytes?.(entry.header.size);
    }
    await feeding;
  } catch (error) {
    entries.destroy();
    await feeding.catch(() => {});
    throw tarError(error, options);
  }
}

/** The name under which to write an entry, undefined for what a layout may hold but is of no use here. */
function acceptedFile(
  header: Header,
  entryCount: number,
  { subject, limits }: ExpandTarOptions,
): string | undefined {
  const refuse = (cause: string) =>
    new OffloadError('invalid_image', `${subject}: tar entry ${printable(header.name)}: ${cause}`);
  if (entryCount > limits.layoutEntryCountMax)
    throw refuse(`more than ${limits.layoutEntryCountMax} entries`);
  const segments = entrySegments(header.name);
  if (!segments) throw refuse('leads out of the layout');
  if (header.type === 'directory') return undefined;
  if (header.type !== 'file')
    throw refuse(`is a ${header.type ?? 'entry of unknown type'}, a layout has only files and directories`);
  if (header.size > limits.imageBytesMax)
    throw refuse(`${header.size} bytes, the limit is ${limits.imageBytesMax} bytes`);
  const name = segments.join('/');
  return LAYOUT_FILE.test(name) ? name : undefined;
}

async function checkTarFile({ subject, tarPath, limits }: ExpandTarOptions): Promise<void> {
  const file = await open(tarPath);
  try {
    const { size } = await file.stat();
    if (size > limits.imageBytesMax) {
      throw new OffloadError(
        'invalid_image',
        `${subject}: ${size} bytes, the limit is ${limits.imageBytesMax} bytes`,
      );
    }
    const { buffer } = await file.read(Buffer.alloc(2), 0, 2, 0);
    if (buffer.equals(Buffer.from([0x1f, 0x8b]))) {
      throw new OffloadError('invalid_image', `${subject}: is gzipped; a layout comes as a plain tar`);
    }
  } finally {
    await file.close();
  }
}

function tarError(error: unknown, { subject, signal }: ExpandTarOptions): unknown {
  if (error instanceof OffloadError || signal.aborted) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'EEXIST')
    return new OffloadError('invalid_image', `${subject}: a tar entry appears twice`, { cause: error });
  if (code !== undefined && code !== 'ERR_STREAM_PREMATURE_CLOSE') return error;
  return new OffloadError('invalid_image', `${subject}: is not a readable tar: ${message}`, { cause: error });
}
