/** Containers as the plane describes them to an agent, and as the agent does. */
import { type Static, Type } from 'typebox';

const strict = { additionalProperties: false } as const;

export const ContainerId = Type.String({ pattern: '^[a-z0-9][a-z0-9_.-]{0,62}$' });
export const ContainerPhase = Type.Union([
  Type.Literal('created'),
  Type.Literal('running'),
  Type.Literal('paused'),
  Type.Literal('checkpointing'),
  Type.Literal('restoring'),
  Type.Literal('stopped'),
]);
export type ContainerPhase = Static<typeof ContainerPhase>;

/** A directory inside a container that something is mounted on. */
const Destination = Type.String({ pattern: '^/[^\\x00]', maxLength: 4096 });
const LUN = Type.Integer({ minimum: 0, maximum: 255 });
const MAX_MOUNTS = 64;

/** A file system in memory: its content is part of a checkpoint. */
const Tmpfs = Type.Object(
  {
    destination: Destination,
    sizeBytes: Type.Optional(Type.Integer({ minimum: 4096 })),
    /** Permissions of its root directory; default 1777. */
    mode: Type.Optional(Type.Integer({ minimum: 0, maximum: 0o7777 })),
  },
  strict,
);
/** A block device with an ext4 file system; its content is no part of a checkpoint. */
const Volume = Type.Object({ lun: LUN, destination: Destination, readOnly: Type.Boolean() }, strict);

/** What a container is made from. The plane's record is the only source of it, also at a restore. */
export const ContainerSpec = Type.Object(
  {
    id: ContainerId,
    hostname: Type.String({ pattern: '^[a-zA-Z0-9][a-zA-Z0-9.-]{0,62}$' }),
    /** LUN at which the image's read-only block device was attached. */
    rootfsLun: LUN,
    command: Type.Array(Type.String({ maxLength: 4096 }), { minItems: 1, maxItems: 256 }),
    env: Type.Array(Type.String({ maxLength: 32_768 }), { maxItems: 512 }),
    workingDir: Type.String({ pattern: '^/', maxLength: 4096 }),
    /** `user` or `user:group`, each a number or a name of the image's own files. */
    user: Type.String({ pattern: '^[^\\s:]{1,64}(:[^\\s:]{1,64})?$' }),
    /** IPv4 address with prefix length, kept across restores. */
    address: Type.String({ pattern: '^[0-9]{1,3}(\\.[0-9]{1,3}){3}/[0-9]{1,2}$' }),
    memoryLimitBytes: Type.Optional(Type.Integer({ minimum: 4_194_304 })),
    /** Thousandths of a processor. */
    cpuLimitMillicores: Type.Optional(Type.Integer({ minimum: 10, maximum: 1_024_000 })),
    /** Default 4096. */
    pidLimit: Type.Optional(Type.Integer({ minimum: 1, maximum: 4_194_304 })),
    terminal: Type.Optional(Type.Boolean()),
    /** Standard input is a pipe that attach writes to; without it, it is /dev/null. */
    openStdin: Type.Optional(Type.Boolean()),
    readonlyRootfs: Type.Optional(Type.Boolean()),
    /** All it has; default: what Docker and podman both grant. */
    capabilities: Type.Optional(
      Type.Array(Type.String({ pattern: '^CAP_[A-Z_]{1,32}$' }), { maxItems: 64, uniqueItems: true }),
    ),
    /** `default` is Docker's profile. Without it, and with `unconfined`, io_uring alone is refused. */
    seccomp: Type.Optional(Type.Union([Type.Literal('default'), Type.Literal('unconfined')])),
    tmpfs: Type.Optional(Type.Array(Tmpfs, { maxItems: MAX_MOUNTS })),
    volumes: Type.Optional(Type.Array(Volume, { maxItems: MAX_MOUNTS })),
  },
  strict,
);
export type ContainerSpec = Static<typeof ContainerSpec>;

export const ContainerState = Type.Object(
  {
    id: ContainerId,
    phase: ContainerPhase,
    pid: Type.Optional(Type.Integer()),
    exitCode: Type.Optional(Type.Integer()),
    /** The kernel ended one of its processes for want of memory. */
    oomKilled: Type.Optional(Type.Boolean()),
    address: Type.String(),
    /** The pager of its restore has not ended. */
    pagesMissing: Type.Optional(Type.Boolean()),
  },
  strict,
);
export type ContainerState = Static<typeof ContainerState>;
