/**
 * The plane's images, below one directory: `<directory>/<hex of the manifest's sha256>/` holds
 * rootfs.erofs, config.json and record.json; `names.json` says which name means which image. An image is
 * built beside the others under a hidden name and renamed when it is whole, so a killed import leaves only
 * what the next open removes. One process opens a directory at a time; whoever opens the store sees to that.
 */
import { mkdir } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import type { Readable } from 'node:stream';
import { namesInIndex } from './archive-names.ts';
import { openImageCatalog } from './image-catalog.ts';
import { checkName } from './image-names.ts';
import type { ImageRecord } from './image-record.ts';
import { buildImage, type ImportContext } from './import-image.ts';
import { DEFAULT_IMAGE_LIMITS, type ImageLimits } from './limits.ts';
import type { ImageStoreLogger } from './load-images.ts';
import { type OpenedLayout, openLayout } from './open-layout.ts';
import { checkAuthFile, download, lookUp, type PullRequest, registryOptions } from './pull-image.ts';
import { receiveArchive } from './receive-archive.ts';
import { digestName, parseReference, tagName } from './reference.ts';
import { type RunTool, runTool } from './run-tool.ts';
import { selectManifest } from './select-manifest.ts';
import { type ChangeControl, createStaging } from './staging.ts';

export type { ImageRecord } from './image-record.ts';
export type { PullRequest } from './pull-image.ts';
export type { ChangeControl } from './staging.ts';

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

type NamesOf = (layout: OpenedLayout, digest: string) => Promise<string[]> | string[];

/** What an archive itself calls its image. */
const givenNames: NamesOf = (layout, digest) =>
  layout.names.length > 0 ? layout.names : namesInIndex(layout, digest);

export async function openImageStore(options: {
  directory: string;
  logger?: ImageStoreLogger;
  run?: RunTool;
  limits?: Partial<ImageLimits>;
}): Promise<ImageStore> {
  const root = resolve(options.directory);
  const limits = { ...DEFAULT_IMAGE_LIMITS, ...options.limits };
  const { logger, run = runTool } = options;
  await mkdir(root, { recursive: true });
  const catalog = await openImageCatalog(root, limits, logger);
  const staging = createStaging(root, limits, run);
  /** The last change of the catalog under way; they are made one after the other. */
  let tail: Promise<unknown> = Promise.resolve();

  function enqueue<T>(change: () => Promise<T>): Promise<T> {
    const result = tail.then(change);
    tail = result.catch(() => {});
    return result;
  }

  /** @param namesOf what the image of this digest shall be called */
  async function adopt(
    path: string,
    directory: string,
    context: ImportContext,
    { tag, namesOf }: { tag?: string | undefined; namesOf: NamesOf },
  ): Promise<ImageRecord> {
    const { signal, subject } = context;
    signal.throwIfAborted();
    const layout = await openLayout(path, directory, context);
    const manifest = await selectManifest(layout, tag);
    if (!catalog.has(manifest.digest)) {
      const built = await buildImage(layout, manifest, directory, context);
      signal.throwIfAborted();
      await catalog.add(built.directory, built.record);
    }
    await catalog.assign(await namesOf(layout, manifest.digest), manifest.digest);
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
      return await staging.within(subject, control, (directory, context) =>
        enqueue(() => adopt(path, directory, context, { tag, namesOf: () => [name] })),
      );
    },
    async load(body, { name, tag }, control = {}) {
      const subject = name === undefined ? 'load image' : `load image ${name}`;
      if (name !== undefined) checkName(name, subject);
      return await staging.within(subject, control, async (directory, context) => {
        const path = join(directory, 'upload.tar');
        await receiveArchive(body, path, context);
        const namesOf = name === undefined ? givenNames : () => [name];
        return await enqueue(() => adopt(path, directory, context, { tag, namesOf }));
      });
    },
    async pull(request, control = {}) {
      const subject = `pull image ${request.reference}`;
      const reference = parseReference(request.reference);
      checkAuthFile(request);
      const registry = registryOptions(request);
      return await staging.within(subject, control, async (directory, context) => {
        const found = await lookUp(reference, registry, context);
        const repoDigests = found.digests.map((digest) => digestName(reference.repository, digest));
        const names = [tagName(reference) ?? [], repoDigests].flat();
        const present = await enqueue(async () => {
          const image = findPulled([...repoDigests, ...found.digests]);
          if (image) await catalog.assign(names, image.digest);
          return image && catalog.get(image.digest, subject);
        });
        if (present) return present;
        const path = await download(found, directory, registry, context);
        return await enqueue(() => adopt(path, directory, context, { namesOf: () => names }));
      });
    },
    list: catalog.list,
    get: (reference, operation = 'get image') => catalog.get(reference, operation),
    remove: (reference, expectUnused = async () => {}) =>
      enqueue(() => catalog.remove(reference, expectUnused)),
    async close() {
      await staging.close();
      await tail;
    },
  };

  /** A digest means one image for ever, whoever says it. */
  function findPulled(digests: readonly string[]): ImageRecord | undefined {
    return catalog
      .list()
      .find((image) => [image.digest, ...image.repoDigests].some((digest) => digests.includes(digest)));
  }
}
