/** /v1/checkpoints */
import { type Static, Type } from 'typebox';
import { warmUpFields } from '../../probes/probe.ts';
import { Name, strict, Timestamp } from './common.ts';

export const CheckpointBody = Type.Object(
  {
    container: Name,
    id: Name,
    after: Type.Union([Type.Literal('stop'), Type.Literal('resume')], { default: 'resume' }),
    parent: Type.Optional(Name),
    preDumpRounds: Type.Integer({ minimum: 0, maximum: 8, default: 0 }),
    ...warmUpFields,
  },
  strict,
);

export const DiffQuery = Type.Object({ with: Name }, strict);

export const ImportQuery = Type.Object(
  {
    id: Type.Optional(Type.String({ ...Name, description: 'default: the name it had' })),
    tenant: Type.Optional(Type.String({ ...Name, description: 'default: whose it was' })),
  },
  strict,
);

const Transfer = Type.Object(
  {
    preDump: Type.Boolean({ description: 'the container ran, but for `frozenMs`' }),
    pageCount: Type.Integer(),
    lazyPageCount: Type.Integer(),
    inheritedPageCount: Type.Integer(),
    targetCount: Type.Integer(),
    receivedBytes: Type.Integer(),
    durationMs: Type.Number(),
    frozenMs: Type.Optional(Type.Number()),
  },
  strict,
);

export const CheckpointView = Type.Object(
  {
    id: Type.String(),
    createdAt: Timestamp,
    container: Type.String({ description: 'its name when it was taken' }),
    tenant: Name,
    image: Type.String(),
    pinned: Type.Boolean(),
    pageCount: Type.Integer(),
    zeroPageCount: Type.Integer(),
    inheritedPageCount: Type.Integer({
      description: 'pages that did not cross while the container stood still',
    }),
    parent: Type.Optional(Type.String()),
    restoredFrom: Type.Optional(
      Type.String({ description: 'the checkpoint from which its container had been restored' }),
    ),
    bytes: Type.Integer({ description: 'of its own files' }),
    sharedBytes: Type.Integer({ description: "of other checkpoints' files that it has pages in" }),
    transfers: Type.Optional(Type.Array(Transfer)),
    hasOrderLog: Type.Boolean(),
    frozenMs: Type.Optional(
      Type.Number({ description: 'absent where nobody measured it, as of one that was imported' }),
    ),
  },
  strict,
);
export type CheckpointView = Static<typeof CheckpointView>;
