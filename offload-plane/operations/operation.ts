/** A long call as a resource: who waits for it may go and ask later what became of it. */
import { type Static, Type } from 'typebox';

const strict = { additionalProperties: false } as const;

export const OperationPhase = Type.Union([
  Type.Literal('running'),
  Type.Literal('succeeded'),
  Type.Literal('failed'),
  Type.Literal('cancelled'),
]);

export const OperationProgress = Type.Object(
  { text: Type.String(), fraction: Type.Optional(Type.Number({ minimum: 0, maximum: 1 })) },
  strict,
);
export type OperationProgress = Static<typeof OperationProgress>;

export const OperationView = Type.Object(
  {
    id: Type.String(),
    /** What is done: checkpoint, restore, pull... */
    kind: Type.String(),
    /** What it is done to. */
    subject: Type.String(),
    phase: OperationPhase,
    progress: OperationProgress,
    /** What the call would have answered. */
    result: Type.Optional(Type.Unknown()),
    error: Type.Optional(Type.Object({ code: Type.String(), message: Type.String() }, strict)),
    createdAt: Type.String(),
    endedAt: Type.Optional(Type.String()),
  },
  strict,
);
export type OperationView = Static<typeof OperationView>;

/** One line of an operation's events; the last one has a phase other than `running`. */
export interface OperationEvent {
  at: string;
  phase: OperationView['phase'];
  progress: OperationProgress;
}
