/** /v1/restores */
import { type Static, Type } from 'typebox';
import { MemoryComparison, RestoreResult } from '../../../interconnect/agent-api.ts';
import { Name, Ports, strict, Timestamp } from './common.ts';

const Policy = Type.Union([
  Type.Literal('eager'),
  Type.Literal('lazy'),
  Type.Literal('ordered'),
  Type.Literal('prefill'),
]);

export const RestoreBody = Type.Object(
  {
    checkpoint: Name,
    guest: Type.Optional(Name),
    name: Type.Optional(Name),
    policy: Type.Optional(Policy),
    ports: Type.Optional(Ports),
    record: Type.Optional(Type.Boolean()),
    hold: Type.Optional(Type.Boolean()),
    clone: Type.Optional(
      Type.Boolean({
        description:
          'as another container, with hostname, address and machine id of its own; default: when the address is taken in that guest',
      }),
    ),
  },
  strict,
);

export type RestoreBody = Static<typeof RestoreBody>;

export const RestoreView = Type.Object(
  {
    id: Type.String(),
    createdAt: Timestamp,
    checkpoint: Type.String(),
    container: Type.String({ description: 'its name' }),
    containerId: Type.String(),
    guest: Type.String(),
    clone: Type.Boolean({ description: 'it has a hostname and an address of its own' }),
    policy: Policy,
    effectivePolicy: Policy,
    phase: Type.Union([
      Type.Literal('restoring'),
      Type.Literal('running'),
      Type.Literal('complete'),
      Type.Literal('failed'),
    ]),
    firstResponseMs: Type.Optional(Type.Number()),
    completeMs: Type.Optional(Type.Number()),
    pageCountAtResponse: Type.Optional(Type.Integer()),
    takeoverCount: Type.Optional(
      Type.Integer({
        description:
          'planes that ended while it was under way; of faults and pushed pages only the last one knows until it is complete',
      }),
    ),
    faultCount: Type.Integer(),
    pushedPageCount: Type.Integer(),
    totalPageCount: Type.Integer(),
    pagesVerified: Type.Optional(Type.Boolean()),
    recordedFaultCount: Type.Optional(Type.Integer()),
    timings: Type.Optional(RestoreResult),
    memory: Type.Optional(MemoryComparison),
    error: Type.Optional(Type.Object({ code: Type.String(), message: Type.String() }, strict)),
  },
  strict,
);
export type RestoreView = Static<typeof RestoreView>;
