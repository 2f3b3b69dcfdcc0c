/** One image of a layout, verified and made a finished directory that only needs its rename. */
import { mkdir, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { OffloadError } from '../../platform/errors.ts';
import { buildRootfs } from './build-rootfs.ts';
import { writeSynced } from './durable-file.ts';
import { runConfig } from './image-config.ts';
import { CONFIG_FILE, RECORD_FILE, type StoredRecord } from './image-record.ts';
import { checkLayer, type LayerTotals } from './layer-check.ts';
import { blobPath, type Layout, readJsonBlob, verifyBlob } from './layout.ts';
import type { ImageLimits } from './limits.ts';
import { type Descriptor, ImageConfig, ImageManifest, LAYER_TYPES, parseOci } from './oci-schema.ts';
import type { RunTool } from './run-tool.ts';

export interface ImportProgress {
  phase: 'resolve' | 'pull' | 'upload' | 'expand' | 'convert' | 'verify' | 'unpack' | 'build';
  /** Bytes of this phase, where it counts any. */
  doneBytes?: number;
  totalBytes?: number;
}

export interface ImportContext {
  subject: string;
  limits: ImageLimits;
  run: RunTool;
  signal: AbortSignal;
  onProgress: (progress: ImportProgress) => void;
}

/** Verifies everything the manifest names, then builds the image's directory in `<staging>/image`. */
export async function buildImage(
  layout: Layout,
  descriptor: Descriptor,
  staging: string,
  context: ImportContext,
): Promise<{ directory: string; record: StoredRecord }> {
  const { subject, limits } = context;
  const manifestBytes = await readJsonBlob(layout, descriptor);
  const manifest = parseOci(ImageManifest, manifestBytes, `${subject}: manifest ${descriptor.digest}`);
  checkLayerList(manifest, subject, limits);
  const configBytes = await readJsonBlob(layout, manifest.config);
  const config = parseOci(ImageConfig, configBytes, `${subject}: config ${manifest.config.digest}`);
  if (config.os !== 'linux' || config.architecture !== 'amd64') {
    throw new OffloadError(
      'invalid_image',
      `${subject}: is for ${config.os.slice(0, 40)}/${config.architecture.slice(0, 40)}, guests are linux/amd64`,
    );
  }
  if (config.rootfs.diff_ids.length !== manifest.layers.length) {
    throw new OffloadError(
      'invalid_image',
      `${subject}: ${manifest.layers.length} layers, but ${config.rootfs.diff_ids.length} diff_ids in its config`,
    );
  }
  const totals = await verifyLayers(layout, manifest, config, context);
  await reserveSpace(staging, totals, subject);

  const directory = join(staging, 'image');
  await mkdir(directory);
  const built = await buildRootfs({
    subject,
    directory,
    manifest: { descriptor, bytes: manifestBytes },
    config: { descriptor: manifest.config, bytes: configBytes },
    layers: manifest.layers.map((layer) => ({ descriptor: layer, path: join(layout.root, blobPath(layer)) })),
    mtimeMaxS: totals.mtimeMaxS,
    run: context.run,
    timeoutMs: limits.importTimeoutMs,
    signal: context.signal,
    onPhase: (phase) => context.onProgress({ phase }),
  });
  const record: StoredRecord = {
    formatVersion: 1,
    digest: descriptor.digest,
    createdAt: new Date().toISOString(),
    rootfsBytes: built.rootfsBytes,
    config: runConfig(config, built.user),
  };
  await writeSynced(join(directory, CONFIG_FILE), configBytes.toString('utf8'));
  await writeSynced(join(directory, RECORD_FILE), `${JSON.stringify(record, undefined, 2)}\n`);
  return { directory, record };
}

function checkLayerList(manifest: ImageManifest, subject: string, limits: ImageLimits): void {
  const refuse = (cause: string) => new OffloadError('invalid_image', `${subject}: ${cause}`);
  if (manifest.layers.length > limits.layerCountMax) {
    throw refuse(`${manifest.layers.length} layers, the limit is ${limits.layerCountMax} layers`);
  }
  const unknown = manifest.layers.find((layer) => !Object.hasOwn(LAYER_TYPES, layer.mediaType));
  if (unknown)
    throw refuse(`layer ${unknown.digest}: media type ${JSON.stringify(unknown.mediaType)} is not supported`);
  const storedBytes = manifest.layers.reduce((sum, layer) => sum + layer.size, 0);
  if (storedBytes > limits.imageBytesMax)
    throw refuse(`its layers have ${storedBytes} bytes, the limit is ${limits.imageBytesMax} bytes`);
}

/** Two passes: no decompressor and no tar reader sees a byte before its digest was found right. */
async function verifyLayers(
  layout: Layout,
  manifest: ImageManifest,
  config: ImageConfig,
  { signal, limits, onProgress, subject }: ImportContext,
): Promise<LayerTotals> {
  const totalBytes = manifest.layers.reduce((sum, layer) => sum + layer.size, 0);
  let doneBytes = 0;
  for (const layer of manifest.layers) {
    await verifyBlob(layout, layer, {
      signal,
      onChunk: (chunk) => {
        doneBytes += chunk.length;
        onProgress({ phase: 'verify', doneBytes, totalBytes });
      },
    });
  }
  const totals: LayerTotals = { unpackedBytes: 0, entryCount: 0, storedBytes: 0, mtimeMaxS: 0 };
  for (const [index, layer] of manifest.layers.entries()) {
    const options = {
      subject: `${subject}: layer ${layer.digest}`,
      path: join(layout.root, blobPath(layer)),
      gzipped: LAYER_TYPES[layer.mediaType] ?? false,
      diffId: config.rootfs.diff_ids[index] ?? '',
      limits,
      signal,
    };
    await checkLayer(options, totals);
  }
  return totals;
}

/** Unpacked tree and block image exist side by side for a moment; each file rounds up to a block. */
async function reserveSpace(directory: string, totals: LayerTotals, subject: string): Promise<void> {
  const { bavail, bsize } = await statfs(directory);
  const neededBytes = 2 * (totals.unpackedBytes + totals.entryCount * 4096);
  if (bavail * bsize >= neededBytes) return;
  const mib = (bytes: number) => Math.ceil(bytes / (1024 * 1024));
  throw new OffloadError(
    'no_space',
    `${subject}: needs ${mib(neededBytes)} MiB, ${directory} has ${mib(bavail * bsize)} MiB free`,
  );
}
