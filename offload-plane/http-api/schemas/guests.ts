/** /v1/guests */
import { type Static, Type } from 'typebox';
import { Health } from '../../../interconnect/agent-api.ts';
import { Name, SocketPath, strict } from './common.ts';

const registration = {
  name: Name,
  vsockPath: SocketPath,
  qmpPath: SocketPath,
  accelerator: Type.String({ maxLength: 32 }),
  memoryMiB: Type.Integer({ minimum: 64 }),
  vcpus: Type.Integer({ minimum: 1, maximum: 1_024 }),
};
export const GuestBody = Type.Object(registration, strict);

export const GuestView = Type.Object(
  {
    ...registration,
    phase: Type.Union([Type.Literal('ready'), Type.Literal('unreachable'), Type.Literal('lost')]),
    cordoned: Type.Boolean({ description: 'takes no new containers' }),
    deadlineScale: Type.Number({ description: 'deadlines of work in this guest are multiplied by it' }),
    health: Health,
  },
  strict,
);
export type GuestView = Static<typeof GuestView>;

export const DrainBody = Type.Object(
  {
    rest: Type.Union([Type.Literal('leave'), Type.Literal('stop')], {
      default: 'leave',
      description: 'what becomes of a container that runs and cannot go',
    }),
  },
  strict,
);

const Kept = Type.Object({ container: Name, reason: Type.String() }, strict);
export const DrainResult = Type.Object(
  {
    guest: Name,
    moved: Type.Array(
      Type.Object(
        {
          container: Name,
          guest: Name,
          checkpoint: Type.String({ description: 'with which it moved; it stays in the store' }),
        },
        strict,
      ),
    ),
    stopped: Type.Array(Kept),
    left: Type.Array(Kept, { description: 'as they were, but for what the reason says' }),
  },
  strict,
);
export type DrainResult = Static<typeof DrainResult>;
