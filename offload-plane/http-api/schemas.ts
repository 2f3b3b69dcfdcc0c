/** What the HTTP API takes. Answers are the views of the nouns' own folders. */
import { Type } from 'typebox';
import { ContainerId } from '../../interconnect/agent-api.ts';

const strict = { additionalProperties: false } as const;
const Path = Type.String({ pattern: '^/', maxLength: 4_096 });
const SocketPath = Type.String({ pattern: '^/', maxLength: 107 });

export const Name = ContainerId;
export const NameParams = Type.Object({ name: Name }, strict);
export const IdParams = Type.Object({ id: Type.String({ maxLength: 128 }) }, strict);
export const ImageParams = Type.Object({ image: Type.String({ maxLength: 256 }) }, strict);

export const GuestBody = Type.Object(
  {
    name: Name,
    vsockPath: SocketPath,
    qmpPath: SocketPath,
    accelerator: Type.String({ maxLength: 32 }),
    memoryMiB: Type.Integer({ minimum: 64 }),
    vcpus: Type.Integer({ minimum: 1, maximum: 1_024 }),
  },
  strict,
);

export const ImageBody = Type.Object(
  {
    path: Path,
    name: Type.Optional(Type.String({ maxLength: 256 })),
    tag: Type.Optional(Type.String({ maxLength: 256 })),
  },
  strict,
);

const Port = Type.Object(
  {
    containerPort: Type.Integer({ minimum: 1, maximum: 65_535 }),
    hostPort: Type.Optional(Type.Integer({ minimum: 0, maximum: 65_535 })),
  },
  strict,
);
const Ports = Type.Array(Port, { maxItems: 64 });

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
  },
  strict,
);

export const KillBody = Type.Object(
  { signal: Type.String({ pattern: '^SIG[A-Z0-9+-]{1,12}$', default: 'SIGTERM' }) },
  strict,
);

export const RenameBody = Type.Object({ name: Name }, strict);

export const CheckpointBody = Type.Object(
  {
    container: Name,
    id: Name,
    after: Type.Union([Type.Literal('stop'), Type.Literal('resume')], { default: 'resume' }),
    parent: Type.Optional(Name),
    preDumpRounds: Type.Integer({ minimum: 0, maximum: 8, default: 0 }),
  },
  strict,
);

export const RestoreBody = Type.Object(
  {
    checkpoint: Name,
    guest: Name,
    name: Name,
    policy: Type.Optional(
      Type.Union([
        Type.Literal('eager'),
        Type.Literal('lazy'),
        Type.Literal('ordered'),
        Type.Literal('prefill'),
      ]),
    ),
    ports: Type.Optional(Ports),
    record: Type.Optional(Type.Boolean()),
    hold: Type.Optional(Type.Boolean()),
  },
  strict,
);
