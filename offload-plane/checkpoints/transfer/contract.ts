/**
 * A checkpoint as a tar: the layout that podman writes and checkpointctl reads, and beside it, below `offload/`,
 * what it takes to be this checkpoint again. A tar is written and read from front to back, so whatever tells
 * what comes stands before it: our manifest first, and each pagemap before its pages.
 */
import { type Static, Type } from 'typebox';
import { ContainerSpec } from '../../../interconnect/agent-api.ts';
import { MIB } from '../../../platform/units.ts';

export const TransferName = {
  manifest: 'offload/manifest.json',
  order: 'offload/order',
  config: 'config.dump',
  spec: 'spec.dump',
  network: 'network.status',
  rootfsDiff: 'rootfs-diff.tar',
  images: 'checkpoint',
} as const;

export const TRANSFER_VERSION = 1;
export const MAX_MANIFEST_BYTES = 4 * MIB;
export const MAX_ORDER_BYTES = 64 * MIB;

const strict = { additionalProperties: false } as const;
const Sha256 = Type.String({ pattern: '^[0-9a-f]{64}$' });

export const TransferManifest = Type.Object(
  {
    version: Type.Literal(TRANSFER_VERSION),
    id: Type.String({ pattern: '^[a-z0-9][a-z0-9_.-]{0,62}$' }),
    createdAt: Type.String({ maxLength: 64 }),
    guest: Type.String({ maxLength: 64 }),
    recipe: Type.Object(
      {
        tenant: Type.String({ pattern: '^[a-z0-9][a-z0-9_.-]{0,62}$' }),
        image: Type.String({ maxLength: 256 }),
        imageDigest: Type.String({ maxLength: 256 }),
        containerPorts: Type.Array(Type.Integer({ minimum: 1, maximum: 65_535 }), { maxItems: 64 }),
        spec: Type.Omit(ContainerSpec, ['id', 'rootfsLun'], strict),
      },
      // What a later version adds is kept as it is.
      { additionalProperties: true },
    ),
    /** Sum over the pages' digests, as the page protocol has it: 16 hex digits. */
    memoryDigest: Type.String({ pattern: '^[0-9a-f]{16}$' }),
    pageCount: Type.Integer({ minimum: 0 }),
    /** Of CRIU's images, and of rootfs-diff.tar. */
    files: Type.Record(Type.String({ maxLength: 128 }), Sha256),
    /** The digest that the order log names. */
    digest: Sha256,
  },
  strict,
);
export type TransferManifest = Static<typeof TransferManifest>;
