/** The images that are there, on disk and by name. Changes are made by one caller at a time. */
import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { OffloadError } from '../../platform/errors.ts';
import { renameSynced } from './durable-file.ts';
import { openImageNames } from './image-names.ts';
import { type ImageRecord, imageDirectoryName, ROOTFS_FILE, type StoredRecord } from './image-record.ts';
import type { ImageLimits } from './limits.ts';
import { type ImageStoreLogger, loadImages, TRASH_PREFIX } from './load-images.ts';
import { DEFAULT_TAG, isDigestName } from './reference.ts';

/** Digits of a digest that are enough to name an image, where no other begins with them. */
const PREFIX = /^(?:sha256:)?([0-9a-f]{12,63})$/;

export interface ImageCatalog {
  has(digest: string): boolean;
  list(): ImageRecord[];
  /**
   * By name (without a tag it is `latest`), `repository@digest`, digest, or the digest's first 12 digits or more.
   * @throws {OffloadError} not_found
   */
  get(reference: string, operation: string): ImageRecord;
  /** Takes over a finished directory. */
  add(directory: string, record: StoredRecord): Promise<void>;
  /** Gives the names to the image, also those that another had. */
  assign(names: readonly string[], digest: string): Promise<void>;
  /**
   * By digest the image goes with all its names; by name the name goes, and the image with its last tag.
   * @param expectUnused asked before an image goes; throws when it has to stay
   */
  remove(reference: string, expectUnused: (image: ImageRecord) => Promise<void>): Promise<void>;
}

export async function openImageCatalog(
  directory: string,
  limits: ImageLimits,
  logger: ImageStoreLogger | undefined,
): Promise<ImageCatalog> {
  const images = await loadImages(directory, logger);
  const names = await openImageNames({
    directory,
    digests: new Set(images.keys()),
    nameCountMax: limits.nameCountMax,
  });
  const directoryOf = (digest: string) => join(directory, imageDirectoryName(digest));

  function recordOf(stored: StoredRecord): ImageRecord {
    const all = names.of(stored.digest);
    const tags = all.filter((name) => !isDigestName(name));
    const { digest, createdAt, rootfsBytes, config } = stored;
    return {
      name: tags[0] ?? all[0] ?? digest,
      names: tags,
      repoDigests: all.filter(isDigestName),
      digest,
      createdAt,
      rootfsPath: join(directoryOf(digest), ROOTFS_FILE),
      rootfsBytes,
      config,
    };
  }

  /** The name of the store that is meant; undefined for a digest, or where there is none. */
  const nameMeant = (reference: string): string | undefined =>
    [reference, `${reference}:${DEFAULT_TAG}`].find((name) => names.digestOf(name) !== undefined);

  function find(reference: string): StoredRecord | undefined {
    const name = nameMeant(reference);
    const known = images.get((name === undefined ? undefined : names.digestOf(name)) ?? reference);
    const digits = PREFIX.exec(reference)?.[1];
    if (known || digits === undefined) return known;
    const fitting = [...images.values()].filter(({ digest }) => digest.startsWith(`sha256:${digits}`));
    return fitting.length === 1 ? fitting[0] : undefined;
  }

  function get(reference: string, operation: string): ImageRecord {
    const stored = find(reference);
    if (stored) return recordOf(stored);
    throw new OffloadError('not_found', `${operation}: no image ${JSON.stringify(reference.slice(0, 200))}`);
  }

  /** Whether the image keeps a name by which people know it when this one goes. */
  const staysWithout = (name: string, { names: tags, repoDigests }: ImageRecord): boolean =>
    isDigestName(name) ? tags.length + repoDigests.length > 1 : tags.length > 1;

  return {
    has: (digest) => images.has(digest),
    list: () => [...images.values()].map(recordOf).sort((a, b) => (a.name < b.name ? -1 : 1)),
    get,
    async add(built, record) {
      await renameSynced(built, directoryOf(record.digest));
      images.set(record.digest, record);
    },
    assign: (given, digest) => names.assign(given, digest),
    async remove(reference, expectUnused) {
      const image = get(reference, 'remove image');
      const name = nameMeant(reference);
      if (name !== undefined && staysWithout(name, image)) return await names.release([name]);
      await expectUnused(image);
      await names.release([...image.names, ...image.repoDigests]);
      const trash = join(directory, TRASH_PREFIX + imageDirectoryName(image.digest));
      await rename(directoryOf(image.digest), trash);
      images.delete(image.digest);
      await rm(trash, { recursive: true, force: true });
    },
  };
}
