/** /v1/containers */
import { type Static, Type } from 'typebox';
import { ContainerPhase } from '../../../interconnect/agent-api.ts';
import { runOptions } from '../../containers/options.ts';
import { Policies } from '../../containers/policies.ts';
import { Name, Ports, strict, Timestamp } from './common.ts';
import { VolumeMounts } from './volumes.ts';

const Labels = Type.Record(
  Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$' }),
  Type.String({ maxLength: 4_096 }),
  { maxProperties: 64 },
);

export const ContainerBody = Type.Object(
  {
    name: Type.Optional(Name),
    guest: Type.Optional(Name),
    image: Type.String({ maxLength: 256 }),
    tenant: Type.Optional(Name),
    command: Type.Optional(Type.Array(Type.String({ maxLength: 4_096 }), { minItems: 1, maxItems: 256 })),
    env: Type.Optional(Type.Array(Type.String({ pattern: '^[^=]+=', maxLength: 32_768 }), { maxItems: 256 })),
    ports: Type.Optional(Ports),
    volumes: Type.Optional(VolumeMounts),
    labels: Type.Optional(Labels),
    ...runOptions,
    ...Policies.properties,
  },
  strict,
);
export type ContainerBody = Static<typeof ContainerBody>;

export const KillBody = Type.Object(
  { signal: Type.String({ pattern: '^SIG[A-Z0-9+-]{1,12}$', default: 'SIGTERM' }) },
  strict,
);

export const StopBody = Type.Object(
  {
    signal: Type.Optional(Type.String({ pattern: '^SIG[A-Z0-9+-]{1,12}$', description: 'default SIGTERM' })),
    graceMs: Type.Optional(
      Type.Integer({ minimum: 0, maximum: 3_600_000, description: 'default 10000; then SIGKILL' }),
    ),
  },
  strict,
);

export const RemoveQuery = Type.Object(
  { force: Type.Boolean({ default: false, description: 'also one that runs: it is ended' }) },
  strict,
);

export const WaitQuery = Type.Object(
  { timeoutMs: Type.Integer({ minimum: 0, maximum: 3_600_000, default: 60_000 }) },
  strict,
);

export const RenameBody = Type.Object({ name: Name }, strict);

const PlanePhase = Type.Union([...ContainerPhase.anyOf, Type.Literal('lost')]);

export const WaitAnswer = Type.Object({ phase: PlanePhase, exitCode: Type.Optional(Type.Integer()) }, strict);
export type WaitAnswer = Static<typeof WaitAnswer>;

export const ContainerFilter = Type.Object(
  {
    phase: Type.Optional(PlanePhase),
    guest: Type.Optional(Name),
    image: Type.Optional(Type.String({ maxLength: 256 })),
    name: Type.Optional(Type.String({ maxLength: 63, description: 'a part of the name' })),
    label: Type.Optional(
      Type.Array(Type.String({ maxLength: 4_352 }), {
        maxItems: 16,
        description: 'key, or key=value; all of them',
      }),
    ),
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
    terminal: Type.Boolean(),
    openStdin: Type.Boolean(),
    ports: Type.Array(
      Type.Object(
        { hostAddress: Type.String(), hostPort: Type.Integer(), containerPort: Type.Integer() },
        strict,
      ),
    ),
    labels: Labels,
    policies: Policies,
    restartCount: Type.Integer(),
    createdAt: Timestamp,
    startedAt: Type.Optional(Timestamp),
    finishedAt: Type.Optional(Timestamp),
    lastCheckpoint: Type.Optional(Type.String({ description: 'from which it can be brought back' })),
    restoredFrom: Type.Optional(
      Type.Object(
        { checkpoint: Type.String(), container: Type.String() },
        { ...strict, description: 'the checkpoint, and the name its container had then' },
      ),
    ),
    health: Type.Optional(
      Type.Union([Type.Literal('starting'), Type.Literal('healthy'), Type.Literal('unhealthy')]),
    ),
    ready: Type.Optional(Type.Boolean()),
  },
  strict,
);
export type ContainerView = Static<typeof ContainerView>;

export function matchesFilter(container: ContainerView, filter: ContainerFilter): boolean {
  const { phase, guest, image, name, label = [] } = filter;
  return (
    (phase === undefined || container.phase === phase) &&
    (guest === undefined || container.guest === guest) &&
    (image === undefined || container.image === image) &&
    (name === undefined || container.name.includes(name)) &&
    label.every((wanted) => hasLabel(container, wanted))
  );
}

function hasLabel({ labels }: ContainerView, wanted: string): boolean {
  const [key = '', ...value] = wanted.split('=');
  return value.length === 0 ? key in labels : labels[key] === value.join('=');
}
