/** What a registry says of an image before any of its layers is fetched: which manifest, and how large. */
import { createHash } from 'node:crypto';
import { type Static, Type } from 'typebox';
import { OffloadError } from '../../platform/errors.ts';
import type { ImageLimits } from './limits.ts';
import { parseOci } from './oci-schema.ts';
import { digestName, type Reference } from './reference.ts';

/** Docker's manifests and the specification's alike: skopeo makes the latter of the former. */
const Part = Type.Object({
  digest: Type.String({ pattern: '^sha256:[0-9a-f]{64}$' }),
  size: Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }),
});
const Manifest = Type.Object({
  schemaVersion: Type.Literal(2),
  config: Part,
  layers: Type.Array(Part, { minItems: 1, maxItems: 1_000 }),
});
const Index = Type.Object({
  schemaVersion: Type.Literal(2),
  manifests: Type.Array(
    Type.Intersect([
      Part,
      Type.Object({
        platform: Type.Optional(Type.Object({ os: Type.String(), architecture: Type.String() })),
      }),
    ]),
    { maxItems: 1_000 },
  ),
});
const Either = Type.Union([Manifest, Index]);

export interface RegistryImage {
  /** `repository@digest` of exactly the image to fetch. */
  pinned: string;
  /** All digests by which the registry knows it: of an index as well. */
  digests: string[];
  /** Of config and layers, as stored there. */
  bytes: number;
}

/**
 * @param fetch the manifest or index of a reference, byte for byte
 * @throws {OffloadError} digest_mismatch when it is not what was asked for, invalid_image
 */
export async function resolveImage(
  reference: Reference,
  fetch: (reference: string) => Promise<string>,
  { subject, limits }: { subject: string; limits: ImageLimits },
): Promise<RegistryImage> {
  const { repository, tag, digest } = reference;
  const asked = digest === undefined ? `${repository}:${tag ?? 'latest'}` : digestName(repository, digest);
  const top = await fetchParsed(asked, digest);
  if ('layers' in top.value) return describe(top.value, [top.digest]);
  const fitting = top.value.manifests.find(
    ({ platform }) => platform?.os === 'linux' && platform.architecture === 'amd64',
  );
  if (!fitting) throw new OffloadError('invalid_image', `${subject}: no manifest for linux/amd64`);
  const inner = await fetchParsed(digestName(repository, fitting.digest), fitting.digest);
  if (!('layers' in inner.value)) {
    throw new OffloadError('invalid_image', `${subject}: an index in an index`);
  }
  return describe(inner.value, [inner.digest, top.digest]);

  async function fetchParsed(name: string, expected: string | undefined) {
    const text = await fetch(name);
    const actual = `sha256:${createHash('sha256').update(text).digest('hex')}`;
    if (expected !== undefined && actual !== expected) {
      throw new OffloadError(
        'digest_mismatch',
        `${subject}: manifest ${expected}: the registry's has the digest ${actual}`,
      );
    }
    return { digest: actual, value: parseOci(Either, Buffer.from(text), `${subject}: manifest ${actual}`) };
  }

  function describe({ config, layers }: Static<typeof Manifest>, digests: string[]): RegistryImage {
    const bytes = layers.reduce((sum, layer) => sum + layer.size, config.size);
    if (bytes > limits.imageBytesMax || config.size > limits.jsonBlobBytesMax) {
      throw new OffloadError(
        'invalid_image',
        `${subject}: has ${bytes} bytes, the limit is ${limits.imageBytesMax} bytes`,
      );
    }
    return { pinned: digestName(repository, digests[0] ?? ''), digests, bytes };
  }
}
