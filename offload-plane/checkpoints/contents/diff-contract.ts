/** How a checkpoint differs from another one. */
import { type Static, type TSchema, Type } from 'typebox';
import { HandleView, processFacts } from './contract.ts';

const strict = { additionalProperties: false } as const;
const Count = Type.Integer();

const ProcessFacts = Type.Object({ ...processFacts, threadCount: Count }, strict);
export type ProcessFacts = Static<typeof ProcessFacts>;

const changesOf = <T extends TSchema>(value: T) => ({
  added: Type.Array(value),
  removed: Type.Array(value),
  changed: Type.Array(Type.Object({ from: value, to: value }, strict)),
});

const HandleDiff = Type.Object(
  { pid: Count, ...changesOf(HandleView) },
  { ...strict, description: 'of a process that both have' },
);
export type HandleDiff = Static<typeof HandleDiff>;

/** Zero pages among them: one that became zero has changed. */
const pageDiff = {
  equalPageCount: Type.Integer({ description: 'with the same checksum' }),
  changedPageCount: Count,
  addedPageCount: Count,
  removedPageCount: Count,
};
const PageDiff = Type.Object(pageDiff, strict);
export type PageDiff = Static<typeof PageDiff>;

const MappingDiff = Type.Object(
  {
    pid: Type.Optional(Type.Integer({ description: 'absent for shared memory' })),
    start: Type.Optional(Type.String()),
    end: Type.Optional(Type.String()),
    kind: Type.String(),
    path: Type.Optional(Type.String()),
    sharedMemory: Type.Optional(Count),
    ...pageDiff,
  },
  strict,
);
export type MappingDiff = Static<typeof MappingDiff>;

export const CheckpointDiff = Type.Object(
  {
    from: Type.String(),
    to: Type.String(),
    processes: Type.Object(changesOf(ProcessFacts), strict),
    handles: Type.Array(HandleDiff),
    memory: Type.Object(
      {
        ...pageDiff,
        mappings: Type.Array(MappingDiff, { description: 'those in which anything is not equal' }),
      },
      strict,
    ),
  },
  strict,
);
export type CheckpointDiff = Static<typeof CheckpointDiff>;
