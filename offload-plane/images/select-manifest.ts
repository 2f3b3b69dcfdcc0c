/** From index.json to the one image that is meant. */
import { OffloadError } from '../../platform/errors.ts';
import { type Layout, readJsonBlob, readLayoutFile } from './layout.ts';
import type { Descriptor } from './oci-schema.ts';
import { ImageIndex, INDEX_TYPE, MANIFEST_TYPE, parseOci, REF_NAME } from './oci-schema.ts';

/** An index may hold indexes (one for many platforms); deeper nesting than this is nobody's. */
const NESTED_INDEX_DEPTH_MAX = 2;

/**
 * @param tag value of `org.opencontainers.image.ref.name`, or the part of it after the last colon
 * @throws {OffloadError} invalid_image when none fits, invalid_request when several do
 */
export async function selectManifest(layout: Layout, tag?: string): Promise<Descriptor> {
  const index = parseOci(
    ImageIndex,
    await readLayoutFile(layout, 'index.json'),
    `${layout.subject}: index.json`,
  );
  const tagged = tag === undefined ? index.manifests : index.manifests.filter((item) => hasTag(item, tag));
  if (tag !== undefined && tagged.length === 0) {
    throw new OffloadError(
      'invalid_image',
      `${layout.subject}: index.json: no image is tagged ${JSON.stringify(tag)}${tagsOf(index)}`,
    );
  }
  const found = new Map<string, Descriptor>();
  for (const item of tagged) await collect(layout, item, found, 0);
  const [first, ...others] = found.values();
  if (!first)
    throw new OffloadError('invalid_image', `${layout.subject}: index.json: no manifest for linux/amd64`);
  if (others.length > 0) {
    throw new OffloadError(
      'invalid_request',
      `${layout.subject}: holds ${found.size} images, choose one by its tag${tagsOf(index)}`,
    );
  }
  return first;
}

async function collect(
  layout: Layout,
  item: Descriptor,
  found: Map<string, Descriptor>,
  depth: number,
): Promise<void> {
  const { platform } = item;
  if (platform && (platform.os !== 'linux' || platform.architecture !== 'amd64')) return;
  if (item.mediaType === MANIFEST_TYPE) {
    found.set(item.digest, item);
    return;
  }
  const what = `${layout.subject}: blob ${item.digest}`;
  if (item.mediaType !== INDEX_TYPE) {
    throw new OffloadError(
      'invalid_image',
      `${what}: media type ${JSON.stringify(item.mediaType)} is no OCI manifest`,
    );
  }
  if (depth >= NESTED_INDEX_DEPTH_MAX) {
    throw new OffloadError(
      'invalid_image',
      `${what}: indexes nested more than ${NESTED_INDEX_DEPTH_MAX} deep`,
    );
  }
  const index = parseOci(ImageIndex, await readJsonBlob(layout, item), what);
  for (const inner of index.manifests) await collect(layout, inner, found, depth + 1);
}

function hasTag(item: Descriptor, tag: string): boolean {
  const refName = item.annotations?.[REF_NAME];
  return refName === tag || refName?.slice(refName.lastIndexOf(':') + 1) === tag;
}

function tagsOf(index: ImageIndex): string {
  const tags = index.manifests.map((item) => item.annotations?.[REF_NAME]).filter((tag) => tag !== undefined);
  return tags.length === 0 ? '' : `; tags: ${tags.slice(0, 20).join(', ').slice(0, 400)}`;
}
