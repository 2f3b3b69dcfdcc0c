/** The guest-cost bench's report as data: what `--json` writes. */
import type { Statistics } from '../statistics.ts';

/** `node` is what Node takes that runs nothing: no agent in Node can take less. */
export type Side = 'ours' | 'node' | 'containerd';

/** Memory of one process, as the kernel's smaps_rollup says. */
export interface ProcessMemory {
  side: Side;
  program: string;
  residentBytes: number;
  /** Shared pages in equal parts among those who share them (PSS). */
  proportionalBytes: number;
  /** Of the resident ones, what no file has. */
  anonymousBytes: number;
}

export interface IdleCpu {
  side: Side;
  windowMs: number;
  cpuUs: number;
}

export const START_VARIANTS = ['crun', 'by hand', 'plane', 'containerd'] as const;
export type StartVariant = (typeof START_VARIANTS)[number];
/** What each variant of a start is, for those who read the table. */
export const START_MEANINGS: Record<StartVariant, string> = {
  crun: '`crun create` and `crun start` on a finished bundle',
  'by hand': 'the same, with namespace, veth pair and overlay made first by `ip` and `mount`',
  plane: 'create and start through the plane’s HTTP API, up to its second answer',
  containerd: '`ctr run --detach` of the same bundle, by runc',
};

export const CALL_VARIANTS = ['echo', 'inspect', 'list'] as const;
export type CallVariant = (typeof CALL_VARIANTS)[number];
export const CALL_MEANINGS: Record<CallVariant, string> = {
  echo: '64 bytes to a bare echo in C and back, on a plain vsock stream',
  inspect: 'a container inspected by the agent: HTTP/2, JSON, schemas at both ends',
  list: 'all containers of the agent listed',
};

/** One of the aims, and what it is made of. */
export interface Aim {
  name: string;
  value: number;
  atMost: number;
  of: string;
}

export interface GuestCostReport {
  kind: 'guest cost';
  createdAt: string;
  durationS: number;
  machine: { cpus: string; cpuCount: number; memoryMiB: number; kernel: string; node: string };
  guest: { accelerator: string; memoryMiB: number; vcpus: number; kernel: string };
  /** Load average of the machine when it began: others' work shows in milliseconds. */
  loadAverage: number;
  versions: Record<'containerd' | 'runc' | 'crun' | 'conmon', string>;
  memory: ProcessMemory[];
  idle: IdleCpu[];
  startMs: Record<StartVariant, Statistics>;
  callMs: Record<CallVariant, Statistics>;
  aims: Aim[];
}
