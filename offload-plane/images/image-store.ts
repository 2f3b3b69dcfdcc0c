/**
 * The plane's images, below one directory: `<directory>/<hex of the manifest's sha256>/` holds
 * rootfs.erofs, config.json and record.json; `names.json` says which name means which image. An image is
 * built beside the others under a hidden name and renamed when it is whole, so a killed import leaves only
 * what the next open removes. One process opens a directory at a time; whoever opens the store sees to that.
 */
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { OffloadError } from '../../platform/errors.ts';
import { renameSynced } from './durable-file.ts';
import { checkName, openImageNames } from './image-names.ts';
import { type ImageRecord, imageDirectoryName, ROOTFS_FILE, type StoredRecord } from './image-record.ts';
import { importError } from './import-error.ts';
import { buildImage, type ImportContext, type ImportProgress, openLayout } from './import-image.ts';
import { DEFAULT_IMAGE_LIMITS, type ImageLimits } from './limits.ts';
import { type ImageStoreLogger, loadImages, STAGING_PREFIX, TRASH_PREFIX } from './load-images.ts';
import { type RunTool, runTool } from './run-tool.ts';
import { selectManifest } from './select-manifest.ts';

export type { ImageRecord } from './image-record.ts';
export type { ImportProgress } from './import-image.ts';
export type { ImageStoreLogger } from './load-images.ts';

export interface ImportRequest {
  /** An OCI image layout: a directory, or a plain tar of one. */
  path: string;
  /** Defaults to the last part of the path without `.tar`. A name that another image had moves. */
  name?: string;
  /** Chooses among several images of a layout by `org.opencontainers.image.ref.name`. */
  tag?: string;
  signal?: AbortSignal;
}

export interface ImageStore {
  import(request: ImportRequest, onProgress?: (progress: ImportProgress) => void): Promise<ImageRecord>;
  list(): ImageRecord[];
  /** @throws {OffloadError} not_found */
  get(nameOrDigest: string): ImageRecord;
  /**
   * By digest the image goes; by name the name goes, and the image with its last one. The store does not
   * know what is attached to a guest: the caller asks first.
   */
  remove(nameOrDigest: string): Promise<void>;
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
  const images = await loadImages(directory, logger);
  const names = await openImageNames({
    directory,
    digests: new Set(images.keys()),
    nameCountMax: limits.nameCountMax,
  });
  const closing = new AbortController();
  /** The last change under way; changes are made one after the other. */
  let tail: Promise<unknown> = Promise.resolve();
  let importCount = 0;

  function enqueue<T>(change: () => Promise<T>): Promise<T> {
    const result = tail.then(change);
    tail = result.catch(() => {});
    return result;
  }

  function toRecord(stored: StoredRecord): ImageRecord {
    const itsNames = names.of(stored.digest);
    const { digest, createdAt, rootfsBytes, config } = stored;
    const rootfsPath = join(directory, imageDirectoryName(digest), ROOTFS_FILE);
    return {
      name: itsNames[0] ?? digest,
      names: itsNames,
      digest,
      createdAt,
      rootfsPath,
      rootfsBytes,
      config,
    };
  }

  function find(nameOrDigest: string, operation: string): StoredRecord {
    const stored = images.get(names.digestOf(nameOrDigest) ?? nameOrDigest);
    if (stored) return stored;
    throw new OffloadError(
      'not_found',
      `${operation}: no image ${JSON.stringify(nameOrDigest.slice(0, 200))}`,
    );
  }

  async function importInto(staging: string, request: ImportRequest, name: string, context: ImportContext) {
    const layout = await openLayout(request.path, staging, context);
    const manifest = await selectManifest(layout, request.tag);
    if (!images.has(manifest.digest)) {
      const built = await buildImage(layout, manifest, staging, context);
      context.signal.throwIfAborted();
      await renameSynced(built.directory, join(directory, imageDirectoryName(manifest.digest)));
      images.set(manifest.digest, built.record);
    }
    await names.assign(name, manifest.digest);
    return find(manifest.digest, context.subject);
  }

  async function performImport(request: ImportRequest, onProgress: (progress: ImportProgress) => void) {
    const subject = `import image ${request.path}`;
    const name = request.name ?? basename(request.path).replace(/\.tar$/, '');
    checkName(name, subject);
    const timeoutMs = limits.importTimeoutMs;
    const deadline = new AbortController();
    const timer = setTimeout(
      () =>
        deadline.abort(new OffloadError('deadline_exceeded', `${subject}: no end within ${timeoutMs} ms`)),
      timeoutMs,
    );
    const signals = [closing.signal, deadline.signal, ...(request.signal ? [request.signal] : [])];
    const signal = AbortSignal.any(signals);
    try {
      signal.throwIfAborted();
      const staging = await mkdtemp(join(directory, STAGING_PREFIX));
      try {
        const stored = await importInto(staging, request, name, { subject, limits, run, signal, onProgress });
        logger?.info(
          { image: name, digest: stored.digest, rootfsBytes: stored.rootfsBytes },
          'image imported',
        );
        return toRecord(stored);
      } finally {
        await rm(staging, { recursive: true, force: true, maxRetries: 3 });
      }
    } catch (error) {
      throw importError(error, subject, signal);
    } finally {
      clearTimeout(timer);
    }
  }

  return {
    async import(request, onProgress = () => {}) {
      if (importCount >= limits.importCountMax) {
        throw new OffloadError(
          'invalid_state',
          `import image ${request.path}: ${importCount} imports are waiting, the limit is ${limits.importCountMax} imports`,
        );
      }
      importCount += 1;
      try {
        return await enqueue(() => performImport(request, onProgress));
      } finally {
        importCount -= 1;
      }
    },
    list: () => [...images.values()].map(toRecord).sort((a, b) => (a.name < b.name ? -1 : 1)),
    get: (nameOrDigest) => toRecord(find(nameOrDigest, 'get image')),
    remove: (nameOrDigest) =>
      enqueue(async () => {
        const { digest } = find(nameOrDigest, 'remove image');
        const itsNames = names.of(digest);
        const byName = nameOrDigest !== digest;
        await names.release(byName ? [nameOrDigest] : itsNames);
        if (byName && itsNames.length > 1) return;
        const trash = join(directory, TRASH_PREFIX + imageDirectoryName(digest));
        await rename(join(directory, imageDirectoryName(digest)), trash);
        images.delete(digest);
        await rm(trash, { recursive: true, force: true });
      }),
    async close() {
      closing.abort(new OffloadError('invalid_state', 'import image: the image store is closing'));
      await tail;
    },
  };
}
