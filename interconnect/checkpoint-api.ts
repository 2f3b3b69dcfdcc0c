/** An agent's half of checkpoints and restores. */
import { type Static, Type } from 'typebox';
import { ContainerSpec } from './container-api.ts';

const strict = { additionalProperties: false } as const;

const Token = Type.String({ pattern: '^[0-9a-f]{64}$' });

/** A dump whose changes are tracked is named by its token when a later one builds on it. */
const Dump = {
  token: Token,
  deadlineMs: Type.Integer({ minimum: 1 }),
  /** The container's last tracked dump: pages that have not changed since are not sent again. */
  parent: Type.Optional(Token),
};
/** Sends pages while the container runs on; its changes are tracked from here. */
export const PreDumpRequest = Type.Object(Dump, strict);
export type PreDumpRequest = Static<typeof PreDumpRequest>;
export const PreDumpResult = Type.Object(
  {
    dumpMs: Type.Number(),
    /** How long CRIU held the container to note its pages, as its statistics say. */
    frozenMs: Type.Optional(Type.Number()),
  },
  strict,
);
export type PreDumpResult = Static<typeof PreDumpResult>;

export const CheckpointRequest = Type.Object({ ...Dump, track: Type.Boolean() }, strict);
export type CheckpointRequest = Static<typeof CheckpointRequest>;
export const CheckpointResult = Type.Object(
  {
    /** Time from the freeze to the end of CRIU's dump; the container is still frozen. */
    dumpMs: Type.Number(),
    imageFiles: Type.Array(Type.String()),
    rootfsDiffFileCount: Type.Integer(),
  },
  strict,
);
export type CheckpointResult = Static<typeof CheckpointResult>;

export const CheckpointFinish = Type.Object(
  {
    action: Type.Union([Type.Literal('resume'), Type.Literal('stop')]),
    /** The dump is committed: with `resume`, a later one may build on it. */
    committed: Type.Boolean(),
  },
  strict,
);
export type CheckpointFinish = Static<typeof CheckpointFinish>;
export const CheckpointFinished = Type.Object({ frozenMs: Type.Number() }, strict);

export const RestoreRequest = Type.Object(
  {
    spec: ContainerSpec,
    token: Token,
    /** Whether CRIU leaves pages to the pager (every policy but eager). */
    lazyPages: Type.Boolean(),
    /** The container is paused before it has run a single instruction. */
    hold: Type.Boolean(),
    /** Of a clone: takes the place of the one in /etc/machine-id, where there is one. */
    machineId: Type.Optional(Type.String({ pattern: '^[0-9a-f]{32}$' })),
    deadlineMs: Type.Integer({ minimum: 1 }),
  },
  strict,
);
export type RestoreRequest = Static<typeof RestoreRequest>;
/** Where the time of a restore went, in milliseconds since the call arrived. */
export const RestoreResult = Type.Object(
  { preparedMs: Type.Number(), pagerReadyMs: Type.Number(), runningMs: Type.Number() },
  strict,
);
export type RestoreResult = Static<typeof RestoreResult>;

/** How the memory of a container compares with the checkpoint's page digests (offload-memcheck). */
export const MemoryComparison = Type.Object(
  {
    pages: Type.Integer(),
    equal: Type.Integer(),
    changed: Type.Integer(),
    softDirtyChanged: Type.Integer(),
    unmapped: Type.Integer(),
    zeroed: Type.Integer(),
    firstChanged: Type.Union([Type.String(), Type.Null()]),
  },
  strict,
);
export type MemoryComparison = Static<typeof MemoryComparison>;
