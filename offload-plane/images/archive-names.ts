/** The names that an archive gives its images, for an import that names none. */
import { Type } from 'typebox';
import { type Layout, readLayoutFile } from './layout.ts';
import { ImageIndex, parseOci, REF_NAME } from './oci-schema.ts';
import { parseReference, tagName } from './reference.ts';

/** What containerd and docker call an image in full, where the annotation of the specification has but its tag. */
const FULL_NAME = 'io.containerd.image.name';

/** manifest.json of an archive by `docker save`; of each image, what it is called. */
export const DockerManifest = Type.Array(
  Type.Object({
    RepoTags: Type.Optional(Type.Union([Type.Array(Type.String({ maxLength: 512 })), Type.Null()])),
  }),
  { maxItems: 1_000 },
);

/** Of the image with this digest in a layout's index. */
export async function namesInIndex(layout: Layout, digest: string): Promise<string[]> {
  const what = `${layout.subject}: index.json`;
  const index = parseOci(ImageIndex, await readLayoutFile(layout, 'index.json'), what);
  const annotations = index.manifests.find((item) => item.digest === digest)?.annotations ?? {};
  const name = annotations[FULL_NAME] ?? annotations[REF_NAME];
  return name === undefined ? [] : usableNames([name]);
}

/** Those that are names in full: `latest` alone says nothing. */
export function usableNames(names: readonly string[]): string[] {
  return names.flatMap((name) => {
    if (!/[/:]/.test(name)) return [];
    try {
      return tagName(parseReference(name)) ?? [];
    } catch {
      return [];
    }
  });
}
