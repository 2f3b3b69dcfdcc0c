/**
 * The parts of the OCI image specification that the plane relies on. Unknown fields are allowed, as the
 * specification demands of readers; what is relied on is checked before it is used.
 */
import { type Static, type TSchema, Type } from 'typebox';
import { Value } from 'typebox/value';
import { OffloadError } from '../../platform/errors.ts';

export const LAYOUT_VERSION = '1.0.0';
export const REF_NAME = 'org.opencontainers.image.ref.name';
export const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json';
export const INDEX_TYPE = 'application/vnd.oci.image.index.v1+json';
/** Media type of a layer to whether it is gzipped. zstd layers are left out: umoci 0.4 cannot read them. */
export const LAYER_TYPES: Readonly<Record<string, boolean>> = {
  'application/vnd.oci.image.layer.v1.tar': false,
  'application/vnd.oci.image.layer.v1.tar+gzip': true,
};

const Digest = Type.String({ pattern: '^sha256:[0-9a-f]{64}$' });

export const OciLayout = Type.Object({ imageLayoutVersion: Type.String() });

export const Descriptor = Type.Object({
  mediaType: Type.String({ maxLength: 256 }),
  digest: Digest,
  size: Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }),
  annotations: Type.Optional(Type.Record(Type.String(), Type.String())),
  platform: Type.Optional(Type.Object({ os: Type.String(), architecture: Type.String() })),
});
export type Descriptor = Static<typeof Descriptor>;

export const ImageIndex = Type.Object({
  schemaVersion: Type.Literal(2),
  manifests: Type.Array(Descriptor, { maxItems: 1000 }),
});
export type ImageIndex = Static<typeof ImageIndex>;

export const ImageManifest = Type.Object({
  schemaVersion: Type.Literal(2),
  config: Descriptor,
  layers: Type.Array(Descriptor, { minItems: 1 }),
});
export type ImageManifest = Static<typeof ImageManifest>;

const nullable = <T extends TSchema>(schema: T) => Type.Optional(Type.Union([schema, Type.Null()]));

const Nanoseconds = Type.Optional(Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }));
/** An extension of Docker's; times in nanoseconds. */
const Healthcheck = Type.Object({
  Test: Type.Optional(Type.Array(Type.String({ maxLength: 4096 }), { maxItems: 128 })),
  Interval: Nanoseconds,
  Timeout: Nanoseconds,
  StartPeriod: Nanoseconds,
  Retries: Type.Optional(Type.Integer({ minimum: 0, maximum: 1_000 })),
});

/** Bounds on command and environment are those that a container of the agent's API may have. */
export const ImageConfig = Type.Object({
  architecture: Type.String(),
  os: Type.String(),
  config: nullable(
    Type.Object({
      User: nullable(Type.String({ maxLength: 256 })),
      Env: nullable(
        Type.Array(Type.String({ maxLength: 32_768, pattern: '^[^=\\0]+=[^\\0]*$' }), { maxItems: 512 }),
      ),
      Entrypoint: nullable(Type.Array(Type.String({ maxLength: 4096 }), { maxItems: 128 })),
      Cmd: nullable(Type.Array(Type.String({ maxLength: 4096 }), { maxItems: 128 })),
      WorkingDir: nullable(Type.String({ maxLength: 4096 })),
      ExposedPorts: nullable(
        Type.Record(Type.String({ pattern: '^[0-9]{1,5}(/(tcp|udp|sctp))?$' }), Type.Object({})),
      ),
      Labels: nullable(Type.Record(Type.String({ maxLength: 4096 }), Type.String({ maxLength: 65_536 }))),
      StopSignal: nullable(Type.String({ maxLength: 32 })),
      Healthcheck: nullable(Healthcheck),
    }),
  ),
  rootfs: Type.Object({ type: Type.Literal('layers'), diff_ids: Type.Array(Digest) }),
});
export type ImageConfig = Static<typeof ImageConfig>;

/** @throws {OffloadError} invalid_image naming the first field that does not fit */
export function parseOci<T extends TSchema>(schema: T, bytes: Buffer, what: string): Static<T> {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8'));
  } catch (error) {
    throw new OffloadError('invalid_image', `${what}: is not JSON: ${(error as Error).message}`, {
      cause: error,
    });
  }
  if (Value.Check(schema, value)) return value;
  const [first] = Value.Errors(schema, value);
  const where = first?.instancePath || 'the document';
  throw new OffloadError(
    'invalid_image',
    `${what}: ${where} ${first?.message ?? 'does not fit the OCI schema'}`,
  );
}
