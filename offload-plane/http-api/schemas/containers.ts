/** /v1/containers */
import { type Static, Type } from 'typebox';
import { ContainerPhase } from '../../../interconnect/agent-api.ts';
import { Name, Ports, strict } from './common.ts';
import { VolumeMounts } from './volumes.ts';

export const ContainerBody = Type.Object(
  {
    name: Name,
    guest: Name,
    image: Type.String({ maxLength: 256 }),
    tenant: Type.Optional(Name),
    command: Type.Optional(Type.Array(Type.String({ maxLength: 4_096 }), { minItems: 1, maxItems: 256 })),
    env: Type.Optional(Type.Array(Type.String({ pattern: '^[^=]+=', maxLength: 32_768 }), { maxItems: 256 })),
    memoryLimitMiB: Type.Optional(Type.Integer({ minimum: 4 })),
    ports: Type.Optional(Ports),
    volumes: Type.Optional(VolumeMounts),
  },
  strict,
);
export type ContainerBody = Static<typeof ContainerBody>;

export const KillBody = Type.Object(
  { signal: Type.String({ pattern: '^SIG[A-Z0-9+-]{1,12}$', default: 'SIGTERM' }) },
  strict,
);

export const RenameBody = Type.Object({ name: Name }, strict);

export const PlanePhase = Type.Union([...ContainerPhase.anyOf, Type.Literal('lost')]);

export const ContainerFilter = Type.Object(
  {
    phase: Type.Optional(PlanePhase),
    guest: Type.Optional(Name),
    image: Type.Optional(Type.String({ maxLength: 256 })),
    name: Type.Optional(Type.String({ maxLength: 63, description: 'a part of the name' })),
  },
  strict,
);
export type ContainerFilter = Static<typeof ContainerFilter>;

export const ContainerView = Type.Object(
  {
    id: Type.String(),
    name: Name,
    guest: Name,
    tenant: Name,
    image: Type.String(),
    phase: PlanePhase,
    address: Type.String(),
    exitCode: Type.Optional(Type.Integer()),
    ports: Type.Array(
      Type.Object(
        { hostAddress: Type.String(), hostPort: Type.Integer(), containerPort: Type.Integer() },
        strict,
      ),
    ),
  },
  strict,
);
export type ContainerView = Static<typeof ContainerView>;

export function matchesFilter(container: ContainerView, filter: ContainerFilter): boolean {
  const { phase, guest, image, name } = filter;
  return (
    (phase === undefined || container.phase === phase) &&
    (guest === undefined || container.guest === guest) &&
    (image === undefined || container.image === image) &&
    (name === undefined || container.name.includes(name))
  );
}
