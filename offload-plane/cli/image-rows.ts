/** Images and volumes as people read them. */
import type { ImageView, PruneView } from '../http-api/schemas/images.ts';
import type { VolumeView } from '../http-api/schemas/volumes.ts';
import { age, shortBytes } from './format.ts';

const SHORT_ID_LENGTH = 12;
const NONE = '<none>';

/** The first digits of its digest, enough to name it. */
export const shortId = ({ digest }: ImageView): string =>
  digest.slice('sha256:'.length, 'sha256:'.length + SHORT_ID_LENGTH);

/** A row a name; an image without one has a row as well. */
export function imageRows(images: readonly ImageView[], nowMs: number): object[] {
  return images.flatMap((image) => {
    const names = image.names.length > 0 ? image.names.map(parts) : [untagged(image)];
    return names.map(({ repository, tag }) => ({
      repository,
      tag,
      'image id': shortId(image),
      created: age(image.createdAt, nowMs),
      size: shortBytes(image.rootfsBytes),
    }));
  });
}

/** What stands behind the last colon is a tag, unless it is a port. */
function parts(name: string): { repository: string; tag: string } {
  const colon = name.lastIndexOf(':');
  if (colon <= name.lastIndexOf('/')) return { repository: name, tag: 'latest' };
  return { repository: name.slice(0, colon), tag: name.slice(colon + 1) };
}

const untagged = ({ repoDigests: [first] }: ImageView) => ({
  repository: first?.split('@')[0] ?? NONE,
  tag: NONE,
});

export function volumeRows(volumes: readonly VolumeView[], nowMs: number): object[] {
  return volumes.map(({ name, sizeBytes, usedBytes, createdAt, usedBy, guest }) => ({
    name,
    size: shortBytes(sizeBytes),
    used: shortBytes(usedBytes),
    created: age(createdAt, nowMs),
    guest: guest ?? '-',
    'used by': usedBy.join(', ') || '-',
  }));
}

export function pruneText({ removed, freedBytes }: PruneView): string {
  return [...removed, `freed ${shortBytes(freedBytes)}`, ''].join('\n');
}
