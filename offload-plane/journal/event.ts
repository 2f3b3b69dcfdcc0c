/** What the plane tells of: numbered by the plane, never twice, never out of order. */
import { type Static, Type } from 'typebox';

export const PlaneEventBody = Type.Object(
  {
    /** What it is about. */
    type: Type.Union([
      Type.Literal('container'),
      Type.Literal('guest'),
      Type.Literal('checkpoint'),
      Type.Literal('restore'),
      Type.Literal('image'),
      Type.Literal('volume'),
    ]),
    /** Past tense: created, started, exited, lost, healthy... */
    event: Type.String(),
    guest: Type.Optional(Type.String()),
    container: Type.Optional(Type.String({ description: "The container's id" })),
    /** Its name then. */
    name: Type.Optional(Type.String()),
    exitCode: Type.Optional(Type.Integer()),
    /** Why, where it is not plain. */
    reason: Type.Optional(Type.String()),
  },
  { additionalProperties: false },
);
export type PlaneEventBody = Static<typeof PlaneEventBody>;

export interface PlaneEvent extends PlaneEventBody {
  sequence: number;
  atMs: number;
}
