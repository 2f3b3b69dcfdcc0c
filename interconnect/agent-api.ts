/**
 * Every call of the guest's agent: method, path, request and response. The agent validates against these
 * schemas, the plane's client is typed by them, and both refuse fields they do not know.
 * HTTP/2 without TLS over one interconnect connection; identity is the socket.
 */
import { type Static, type TSchema, Type } from 'typebox';
import { execCalls, stdioStreams } from './exec-api.ts';

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

/** Raised with every change of these calls that one end of another version would take amiss. */
export const AGENT_API_VERSION = 3;
/** Names a call that changes something: the agent gives a repeated one the first answer and does nothing again. */
export const REQUEST_ID_HEADER = 'x-request-id';
export const RequestId = Type.String({ pattern: '^[A-Za-z0-9_-]{1,64}$' });

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

export const Health = Type.Object(
  {
    apiVersion: Type.Integer(),
    /** The same over restarts of the agent, another after a boot of the guest: events are numbered within it. */
    instanceId: Type.String(),
    /** Another after each start of the agent. */
    startId: Type.Optional(Type.String()),
    bootId: Type.String(),
    agent: Type.String(),
    node: Type.String(),
    kernel: Type.String(),
    crun: Type.String(),
    criu: Type.String(),
    conmon: Type.String(),
    pager: Type.String(),
    memoryTotalBytes: Type.Integer(),
    memoryAvailableBytes: Type.Integer(),
    /** Milliseconds a fixed amount of work took: deadlines scale with it (emulated guests are slow). */
    workMs: Type.Number(),
    /** Whether the kernel tells which pages were written to since the last dump (soft-dirty). */
    tracksChanges: Type.Boolean(),
  },
  strict,
);
export type Health = Static<typeof Health>;

const Percentage = Type.Number({ minimum: 0, maximum: 100 });
/** What the guest as a whole is busy with. */
export const GuestLoad = Type.Object(
  {
    cpuCount: Type.Integer({ minimum: 1 }),
    /** Of all processors together, since the boot. */
    cpuBusyMs: Type.Number({ minimum: 0 }),
    memoryTotalBytes: Type.Integer({ minimum: 0 }),
    memoryAvailableBytes: Type.Integer({ minimum: 0 }),
    /** Percent of the last 10 s in which something waited for it (PSI). */
    pressure: Type.Optional(Type.Object({ cpu: Percentage, memory: Percentage, io: Percentage }, strict)),
  },
  strict,
);
export type GuestLoad = Static<typeof GuestLoad>;

/** Share of time in percent over the last 10, 60 and 300 s, and its sum (Documentation/accounting/psi.rst). */
const Stall = Type.Object(
  { avg10: Type.Number(), avg60: Type.Number(), avg300: Type.Number(), totalUs: Type.Integer() },
  strict,
);
/** `some`: at least one task stood still for want of it; `full`: all that were not idle did. */
const Pressure = Type.Object({ some: Stall, full: Stall }, strict);
export type Pressure = Static<typeof Pressure>;

/** cgroup v2 figures of one container, and its network interface's; all zero when it does not run. */
export const ContainerStats = Type.Object(
  {
    memoryBytes: Type.Integer(),
    memoryPeakBytes: Type.Integer(),
    /** Of all its memory, what no file has: what a dump has to bring. */
    memoryAnonymousBytes: Type.Integer(),
    memoryLimitBytes: Type.Optional(Type.Integer()),
    oomKillCount: Type.Integer(),
    cpuUsageUs: Type.Integer(),
    cpuUserUs: Type.Integer(),
    cpuSystemUs: Type.Integer(),
    /** How long it was held back by its limit. */
    cpuThrottledUs: Type.Integer(),
    pidCount: Type.Integer(),
    pidLimit: Type.Optional(Type.Integer()),
    ioReadBytes: Type.Integer(),
    ioWriteBytes: Type.Integer(),
    ioReadCount: Type.Integer(),
    ioWriteCount: Type.Integer(),
    networkReceivedBytes: Type.Integer(),
    networkSentBytes: Type.Integer(),
    /** Where the kernel keeps account of it. */
    pressure: Type.Optional(Type.Object({ cpu: Pressure, memory: Pressure, io: Pressure }, strict)),
  },
  strict,
);
export type ContainerStats = Static<typeof ContainerStats>;

const Process = Type.Object(
  {
    /** As the container sees it. */
    pid: Type.Integer(),
    parentPid: Type.Integer(),
    /** As the guest sees it. */
    guestPid: Type.Integer(),
    uid: Type.Integer(),
    /** One letter, see proc_pid_stat(5). */
    state: Type.String({ maxLength: 1 }),
    threadCount: Type.Integer(),
    residentBytes: Type.Integer(),
    cpuUs: Type.Integer(),
    runtimeMs: Type.Integer(),
    /** Its arguments joined by spaces; a task without any has its name in brackets. Cut at 512 characters. */
    command: Type.String({ maxLength: 512 }),
  },
  strict,
);
export type Process = Static<typeof Process>;
/** `total` counts those that are left out because the list is bounded. */
export const ProcessList = Type.Object({ processes: Type.Array(Process), total: Type.Integer() }, strict);
export type ProcessList = Static<typeof ProcessList>;

export const AgentEvent = Type.Object(
  {
    sequence: Type.Integer(),
    atMs: Type.Number(),
    container: ContainerId,
    event: Type.Union([
      Type.Literal('created'),
      Type.Literal('started'),
      Type.Literal('checkpointed'),
      Type.Literal('resumed'),
      Type.Literal('restored'),
      Type.Literal('exited'),
      Type.Literal('deleted'),
    ]),
    exitCode: Type.Optional(Type.Integer()),
  },
  strict,
);
export type AgentEvent = Static<typeof AgentEvent>;

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
const CheckpointFinished = Type.Object({ frozenMs: Type.Number() }, strict);

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

const Empty = Type.Object({}, strict);
/** A name, with or without SIG, or a number. */
const Signal = Type.String({ pattern: '^((SIG)?[A-Z0-9]{2,8}([+-][0-9]{1,2})?|[0-9]{1,2})$' });

interface Call {
  method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  path: string;
  body?: TSchema;
  response?: TSchema;
}

/** Calls with JSON bodies. */
export const agentCalls = {
  health: { method: 'GET', path: '/v1/health', response: Health },
  guestLoad: { method: 'GET', path: '/v1/load', response: GuestLoad },
  listContainers: { method: 'GET', path: '/v1/containers', response: Type.Array(ContainerState) },
  createContainer: { method: 'POST', path: '/v1/containers', body: ContainerSpec, response: ContainerState },
  inspectContainer: { method: 'GET', path: '/v1/containers/:id', response: ContainerState },
  startContainer: { method: 'POST', path: '/v1/containers/:id/start', body: Empty, response: ContainerState },
  killContainer: {
    method: 'POST',
    path: '/v1/containers/:id/kill',
    body: Type.Object({ signal: Signal }, strict),
    response: ContainerState,
  },
  pauseContainer: { method: 'POST', path: '/v1/containers/:id/pause', body: Empty, response: ContainerState },
  resumeContainer: {
    method: 'POST',
    path: '/v1/containers/:id/resume',
    body: Empty,
    response: ContainerState,
  },
  /** Of a stopped one: its writable layer stays, all else is as the new specification says. */
  recreateContainer: {
    method: 'POST',
    path: '/v1/containers/:id/recreate',
    body: ContainerSpec,
    response: ContainerState,
  },
  /** Of a stopped one: its volumes are unmounted and may go to another guest; `recreate` brings them back. */
  releaseVolumes: {
    method: 'POST',
    path: '/v1/containers/:id/volumes/release',
    body: Empty,
    response: ContainerState,
  },
  deleteContainer: { method: 'DELETE', path: '/v1/containers/:id', response: Empty },
  containerStats: { method: 'GET', path: '/v1/containers/:id/stats', response: ContainerStats },
  listProcesses: { method: 'GET', path: '/v1/containers/:id/processes', response: ProcessList },
  preDumpContainer: {
    method: 'POST',
    path: '/v1/containers/:id/pre-dump',
    body: PreDumpRequest,
    response: PreDumpResult,
  },
  checkpointContainer: {
    method: 'POST',
    path: '/v1/containers/:id/checkpoint',
    body: CheckpointRequest,
    response: CheckpointResult,
  },
  finishCheckpoint: {
    method: 'POST',
    path: '/v1/containers/:id/checkpoint/finish',
    body: CheckpointFinish,
    response: CheckpointFinished,
  },
  restoreContainer: {
    method: 'POST',
    path: '/v1/containers/:id/restore',
    body: RestoreRequest,
    response: RestoreResult,
  },
  ...execCalls,
} as const satisfies Record<string, Call>;

/**
 * Calls whose body or answer is a stream:
 * - checkpointFiles: CRIU's metadata images under images/ and the root filesystem's changes as
 *   rootfs-diff.tar, as one tar.
 * - putImages: the same tar, staged for a restore.
 * - compareMemory: request is offload-memcheck's binary index, answer a MemoryComparison. The container
 *   stands still while it is compared.
 * - connectPort: a byte stream to a TCP port of the container, both ways.
 * - events: AgentEvent as one JSON a line, from a sequence on.
 * - logs: the container's output, as conmon's k8s-file lines; `?follow=&tailLines=&sinceMs=`.
 */
export const agentStreams = {
  checkpointFiles: { method: 'GET', path: '/v1/containers/:id/checkpoint/files' },
  putImages: { method: 'PUT', path: '/v1/containers/:id/restore-images' },
  compareMemory: { method: 'POST', path: '/v1/containers/:id/memory-comparison' },
  connectPort: { method: 'POST', path: '/v1/containers/:id/ports/:port' },
  events: { method: 'GET', path: '/v1/events' },
  logs: { method: 'GET', path: '/v1/containers/:id/logs' },
  ...stdioStreams,
} as const satisfies Record<string, Call>;

export type AgentCall = keyof typeof agentCalls;
type BodyOf<C> = C extends { body: infer B extends TSchema } ? Static<B> : undefined;
type ResponseOf<C> = C extends { response: infer R extends TSchema } ? Static<R> : undefined;
export type AgentRequest<C extends AgentCall> = BodyOf<(typeof agentCalls)[C]>;
export type AgentResponse<C extends AgentCall> = ResponseOf<(typeof agentCalls)[C]>;

/** A call's path with its parameters put in. */
export function agentPath(path: string, params: Record<string, string | number>): string {
  return path.replace(/:([a-z]+)/g, (_, name: string) => encodeURIComponent(String(params[name])));
}
