/** /v1/volumes, and volumes of a container */
import { type Static, Type } from 'typebox';
import { Name, strict, Timestamp } from './common.ts';

export const VolumeParams = Type.Object({ volume: Name }, strict);

export const VolumeBody = Type.Object(
  {
    name: Name,
    sizeBytes: Type.Optional(Type.Integer({ minimum: 1, description: 'default 1 GiB' })),
    reserved: Type.Optional(
      Type.Boolean({ description: 'take all of it from the device now; else it grows as it is written to' }),
    ),
  },
  strict,
);

export const VolumeView = Type.Object(
  {
    name: Name,
    sizeBytes: Type.Integer(),
    usedBytes: Type.Integer({ description: 'what it takes of the device now' }),
    reserved: Type.Boolean(),
    createdAt: Timestamp,
    path: Type.String(),
    usedBy: Type.Array(Type.String({ description: 'containers that have it, ended ones too' })),
    guest: Type.Optional(Type.String({ description: 'that it is attached to' })),
  },
  strict,
);
export type VolumeView = Static<typeof VolumeView>;

/** Of a container. */
export const VolumeMounts = Type.Array(
  Type.Object(
    {
      name: Name,
      destination: Type.String({ pattern: '^/', maxLength: 4_096 }),
      readOnly: Type.Boolean({ default: false }),
    },
    strict,
  ),
  { maxItems: 32 },
);
