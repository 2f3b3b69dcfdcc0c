/**
 * Looks through a layer before any tool unpacks it: what it grows to, how many files it makes, and whether
 * any of them is meant to land outside. umoci guards its paths as well; this is the fence in front of it,
 * and the only one with limits.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import type { Header } from 'tar-stream';
import { OffloadError } from '../../platform/errors.ts';
import { readTar } from '../../platform/read-tar.ts';
import { entrySegments, printable } from './entry-path.ts';
import type { ImageLimits } from './limits.ts';

/** Sums over the layers of one image, grown by each check. */
export interface LayerTotals {
  unpackedBytes: number;
  entryCount: number;
  /** Of the layers looked at so far, as stored. */
  storedBytes: number;
  /** Latest modification time, in seconds since 1970: no file of the image is younger. */
  mtimeMaxS: number;
}

export interface LayerCheckOptions {
  /** Operation, image and blob, for messages. */
  subject: string;
  path: string;
  gzipped: boolean;
  /** Digest of the unpacked tar, from the image's config. */
  diffId: string;
  limits: ImageLimits;
  signal: AbortSignal;
}

const ENTRY_TYPES: ReadonlySet<string> = new Set([
  'file',
  'contiguous-file',
  'link',
  'symlink',
  'directory',
  'character-device',
  'block-device',
  'fifo',
]);

/** null, zero, full, random, urandom, tty, console, ptmx; and 0:0, an overlay's whiteout. */
const HARMLESS_DEVICES: ReadonlySet<string> = new Set([
  '1:3',
  '1:5',
  '1:7',
  '1:8',
  '1:9',
  '5:0',
  '5:1',
  '5:2',
  '0:0',
]);
/** Attributes by which an overlay is told where else to look. */
const OVERLAY_ATTRIBUTE = /^SCHILY\.xattr\.(trusted|user)\.overlay\./;

/** @throws {OffloadError} invalid_image or digest_mismatch, naming layer and entry */
export async function checkLayer(options: LayerCheckOptions, totals: LayerTotals): Promise<void> {
  const { subject, signal } = options;
  totals.storedBytes += (await stat(options.path)).size;
  const hash = createHash('sha256');
  const meter = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      totals.unpackedBytes += chunk.length;
      hash.update(chunk);
      done(tooLarge(options, totals) ?? null, chunk);
    },
  });
  const entries = readTar();
  entries.on('entry', (header, stream, next) => {
    stream.on('end', next);
    stream.on('error', () => {});
    try {
      checkEntry(header, options, totals);
      stream.resume();
    } catch (error) {
      entries.destroy(error as Error);
    }
  });
  const source = createReadStream(options.path, { highWaterMark: 1024 * 1024 });
  try {
    if (options.gzipped)
      await pipeline(source, createGunzip({ chunkSize: 256 * 1024 }), meter, entries, { signal });
    else await pipeline(source, meter, entries, { signal });
  } catch (error) {
    if (error instanceof OffloadError || signal.aborted) throw error;
    throw new OffloadError(
      'invalid_image',
      `${subject}: is not a readable tar: ${(error as Error).message}`,
      { cause: error },
    );
  }
  const actual = `sha256:${hash.digest('hex')}`;
  if (actual !== options.diffId) {
    throw new OffloadError(
      'digest_mismatch',
      `${subject}: unpacked it has the digest ${actual}, the config says ${options.diffId}`,
    );
  }
}

function checkEntry(header: Header, { subject, limits }: LayerCheckOptions, totals: LayerTotals): void {
  const refuse = (cause: string) =>
    new OffloadError('invalid_image', `${subject}: entry ${printable(header.name)}: ${cause}`);
  totals.entryCount += 1;
  if (totals.entryCount > limits.entryCountMax)
    throw refuse(`more than ${limits.entryCountMax} entries in the image`);
  if (!entrySegments(header.name))
    throw refuse('leads out of the root filesystem, or is too long or too deep');
  if (!ENTRY_TYPES.has(header.type)) throw refuse('is of an unknown type');
  // A sparse file's size on disk is not what the tar's length says.
  const paxKeys = Object.keys((header.pax ?? {}) as object);
  if (paxKeys.some((key) => key.startsWith('GNU.sparse'))) throw refuse('is a sparse file');
  if (paxKeys.some((key) => OVERLAY_ATTRIBUTE.test(key)))
    throw refuse('has an attribute of overlay file systems');
  const isDevice = header.type === 'block-device' || header.type === 'character-device';
  if (isDevice && !isHarmlessDevice(header)) {
    throw refuse(`is the device ${header.devmajor}:${header.devminor}`);
  }
  // A hard link names a file of the image; a symbolic link may say anything, only the container follows it.
  if (header.type === 'link' && !entrySegments(header.linkname)) {
    throw refuse(`links to ${printable(header.linkname)}, out of the root filesystem`);
  }
  const mtimeS = Math.floor(header.mtime.getTime() / 1000);
  if (Number.isFinite(mtimeS)) totals.mtimeMaxS = Math.max(totals.mtimeMaxS, mtimeS);
}

/** What grows beyond all measure is a bomb, though it may still fit. */
function tooLarge({ subject, limits }: LayerCheckOptions, totals: LayerTotals): OffloadError | undefined {
  const { unpackedBytes, storedBytes } = totals;
  const refuse = (cause: string) =>
    new OffloadError('invalid_image', `${subject}: the image unpacks to ${cause}`);
  if (unpackedBytes > limits.unpackedBytesMax) return refuse(`more than ${limits.unpackedBytesMax} bytes`);
  if (unpackedBytes <= limits.ratioFreeBytes || unpackedBytes <= storedBytes * limits.unpackRatioMax) return;
  return refuse(`more than ${limits.unpackRatioMax} times its ${storedBytes} bytes`);
}

/**
 * A device node is a way to the guest's own disks. These are none, and some images carry them in /dev, where
 * no container ever sees them.
 */
function isHarmlessDevice({ type, devmajor, devminor }: Header): boolean {
  return type === 'character-device' && HARMLESS_DEVICES.has(`${devmajor}:${devminor}`);
}
