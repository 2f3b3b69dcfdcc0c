/** What an agent reports: of itself, its guest, the use of its containers, and what happens to them. */
import { type Static, Type } from 'typebox';
import { ContainerId } from './container-api.ts';

const strict = { additionalProperties: false } as const;

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
