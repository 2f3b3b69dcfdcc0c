/**
 * The plane's images, below one directory: `<directory>/<hex of the manifest's sha256>/` holds
 * rootfs.erofs, config.json and record.json; `names.json` says which name means which image. An image is
 * built beside the others under a hidden name and renamed when it is whole, so a killed import leaves only
 * what the next open removes. One process opens a directory at a time; whoever opens the store sees to that.
 */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import type { Readable } from 'node:stream';
import { OffloadError } from '../../platform/errors.ts';
import { namesInIndex } from './archive-names.ts';
import { openImageCatalog } from './image-catalog.ts';
import { checkName } from './image-names.ts';
import type { ImageRecord } from './image-record.ts';
import { importError } from './import-error.ts';
import { buildImage, type ImportContext, type ImportProgress } from './import-image.ts';
import { DEFAULT_IMAGE_LIMITS, type ImageLimits } from './limits.ts';
import { type ImageStoreLogger, STAGING_PREFIX } from './load-images.ts';
import { type OpenedLayout, openLayout } from './open-layout.ts';
import { checkAuthFile, download, lookUp, type PullRequest, registryOptions } from './pull-image.ts';
import { receiveArchive } from './receive-archive.ts';
import { digestName, parseReference, tagName } from './reference.ts';
import { type RunTool, runTool } from './run-tool.ts';
import { selectManifest } from './select-manifest.ts';

export type { ImageRecord } from './image-record.ts';
export type { ImportProgress } from './import-image.ts';
export type { ImageStoreLogger } from './load-images.ts';
export type { PullRequest } from './pull-image.ts';

/** How a change that takes long is followed and ended. */
export interface ChangeControl {
  signal?: AbortSignal | undefined;
  onProgress?: ((progress: ImportProgress) => void) | undefined;
}

export interface ImportRequest {
  /** An OCI image layout, a directory or a plain tar of one, or an archive of `docker save`. */
  path: string;
  /** Defaults to the last part of the path without `.tar`. A name that another image had moves. */
  name?: string;
  /** Chooses among several images of a layout by `org.opencontainers.image.ref.name`. */
  tag?: string;
}

export interface LoadRequest {
  /** Defaults to what the archive calls its image. */
  name?: string;
  tag?: string;
}

export interface ImageStore {
  import(request: ImportRequest, control?: ChangeControl): Promise<ImageRecord>;
  /** As `import`, of a tar that comes as a stream. */
  load(body: Readable, request: LoadRequest, control?: ChangeControl): Promise<ImageRecord>;
  /** From a registry. What is there already under the same digest is not fetched again. */
  pull(request: PullRequest, control?: ChangeControl): Promise<ImageRecord>;
  list(): ImageRecord[];
  /**
   * By name (without a tag it is `latest`), `repository@digest`, digest, or the digest's first 12 digits or more.
   * @throws {OffloadError} not_found
   */
  get(reference: string, operation?: string): ImageRecord;
  /**
   * By digest the image goes; by name the name goes, and the image with its last one.
   * @param expectUnused asked before an image goes; throws when it has to stay
   */
  remove(reference: string, expectUnused?: (image: ImageRecord) => Promise<void>): Promise<void>;
  /** Ends imports that are under way and waits for them to clean up. */
  close(): Promise<void>;
}

export async function openImageStore(options: {
  directory: string;
  logger?: ImageStoreLogger;
  run?: RunTool;
  limits?: Partial<ImageLimits>;
}): Promise<ImageStore> {
  const directory = resolve(options.directory);
  const limits = { ...DEFAULT_IMAGE_LIMITS, ...options.limits };
  const { logger, run = runTool } = options;
  await mkdir(directory, { recursive: true });
  const catalog = await openImageCatalog(directory, limits, logger);
  const closing = new AbortController();
  const underWay = new Set<Promise<unknown>>();
  /** The last change of the catalog under way; they are made one after the other. */
  let tail: Promise<unknown> = Promise.resolve();

  function enqueue<T>(change: () => Promise<T>): Promise<T> {
    const result = tail.then(change);
    tail = result.catch(() => {});
    return result;
  }

  /** A directory of its own, a deadline and a place among the limited number, for one import. */
  async function inStaging(
    subject: string,
    { signal: cancel, onProgress = () => {} }: ChangeControl,
    work: (staging: string, context: ImportContext) => Promise<ImageRecord>,
  ): Promise<ImageRecord> {
    if (underWay.size >= limits.importCountMax) {
      throw new OffloadError(
        'invalid_state',
        `${subject}: ${underWay.size} imports are waiting, the limit is ${limits.importCountMax} imports`,
      );
    }
    const deadline = new AbortController();
    const timeout = `${subject}: no end within ${limits.importTimeoutMs} ms`;
    const timer = setTimeout(
      () => deadline.abort(new OffloadError('deadline_exceeded', timeout)),
      limits.importTimeoutMs,
    );
    const signal = AbortSignal.any([closing.signal, deadline.signal, ...(cancel ? [cancel] : [])]);
    const done = perform();
    underWay.add(done);
    try {
      return await done;
    } catch (error) {
      throw importError(error, subject, signal);
    } finally {
      clearTimeout(timer);
      underWay.delete(done);
    }

    async function perform(): Promise<ImageRecord> {
      signal.throwIfAborted();
      const staging = await mkdtemp(join(directory, STAGING_PREFIX));
      try {
        return await work(staging, { subject, limits, run, signal, onProgress });
      } finally {
        await rm(staging, { recursive: true, force: true, maxRetries: 3 });
      }
    }
  }

  /** @param namesOf told the digest, what the image shall be called */
  async function adopt(
    layout: OpenedLayout,
    staging: string,
    context: ImportContext,
    { tag, namesOf }: { tag?: string | undefined; namesOf: (digest: string) => Promise<string[]> | string[] },
  ): Promise<ImageRecord> {
    const { signal, subject } = context;
    const manifest = await selectManifest(layout, tag);
    if (!catalog.has(manifest.digest)) {
      const built = await buildImage(layout, manifest, staging, context);
      signal.throwIfAborted();
      await catalog.add(built.directory, built.record);
    }
    await catalog.assign(await namesOf(manifest.digest), manifest.digest);
    const image = catalog.get(manifest.digest, subject);
    logger?.info(
      { image: image.name, digest: image.digest, rootfsBytes: image.rootfsBytes },
      'image imported',
    );
    return image;
  }

  return {
    async import({ path, tag, name = basename(path).replace(/\.tar$/, '') }, control = {}) {
      const subject = `import image ${path}`;
      checkName(name, subject);
      return await inStaging(subject, control, (staging, context) =>
        enqueue(async () => {
          context.signal.throwIfAborted();
          const layout = await openLayout(path, staging, context);
          return await adopt(layout, staging, context, { tag, namesOf: () => [name] });
        }),
      );
    },
    async load(body, { name, tag }, control = {}) {
      const subject = name === undefined ? 'load image' : `load image ${name}`;
      if (name !== undefined) checkName(name, subject);
      return await inStaging(subject, control, async (staging, context) => {
        const path = join(staging, 'upload.tar');
        await receiveArchive(body, path, context);
        return await enqueue(async () => {
          context.signal.throwIfAborted();
          const layout = await openLayout(path, staging, context);
          const given = async (digest: string) =>
            layout.names.length > 0 ? layout.names : await namesInIndex(layout, digest);
          const namesOf = name === undefined ? given : () => [name];
          return await adopt(layout, staging, context, { tag, namesOf });
        });
      });
    },
    async pull(request, control = {}) {
      const subject = `pull image ${request.reference}`;
      const reference = parseReference(request.reference);
      checkAuthFile(request);
      const registry = registryOptions(request);
      return await inStaging(subject, control, async (staging, context) => {
        const found = await lookUp(reference, registry, context);
        const repoDigests = found.digests.map((digest) => digestName(reference.repository, digest));
        const names = [tagName(reference) ?? [], repoDigests].flat();
        const present = await enqueue(async () => {
          const image = findPulled([...repoDigests, ...found.digests]);
          if (image) await catalog.assign(names, image.digest);
          return image && catalog.get(image.digest, subject);
        });
        if (present) return present;
        const path = await download(found, staging, registry, context);
        return await enqueue(async () => {
          context.signal.throwIfAborted();
          const layout = await openLayout(path, staging, context);
          return await adopt(layout, staging, context, { namesOf: () => names });
        });
      });
    },
    list: catalog.list,
    get: (reference, operation = 'get image') => catalog.get(reference, operation),
    remove: (reference, expectUnused = async () => {}) =>
      enqueue(() => catalog.remove(reference, expectUnused)),
    async close() {
      closing.abort(new OffloadError('invalid_state', 'import image: the image store is closing'));
      await Promise.allSettled([...underWay, tail]);
    },
  };

  /** A digest means one image for ever, whoever says it. */
  function findPulled(digests: readonly string[]): ImageRecord | undefined {
    return catalog
      .list()
      .find((image) => [image.digest, ...image.repoDigests].some((digest) => digests.includes(digest)));
  }
}
