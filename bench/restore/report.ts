/** The restore bench's report as data: what `--json` writes. */
import type { TraceEvent } from '../../testbed/native/plane-protocol.ts';
import type { Statistics } from '../statistics.ts';

export type Temperature = 'warm' | 'cold';

export interface Row {
  section: 'reference' | 'ablation' | 'latency' | 'bandwidth' | 'footprint' | 'concurrency' | 'workload';
  workload: string;
  variant: string;
  temperature: Temperature;
  /** One way, as measured by an echo through the shaper. */
  latencyUs?: number;
  /** 0: not shaped. */
  gbitPerS?: number;
  heapMiB?: number;
  ttfrMs: Statistics;
  /** Until every page is in place; absent where restores were not followed so far. */
  allInMs?: Statistics;
  preparedMs?: Statistics;
  criuMs?: Statistics;
  /** Demand faults up to the response. */
  faultCount?: Statistics;
}

export interface DumpRow {
  into: 'store' | 'directory';
  workload: string;
  /** How long the process stood still. */
  frozenMs: Statistics;
}

/** One restore, page by page; times in ms since its start. */
export interface Timeline {
  variant: string;
  workload: string;
  ttfrMs: number;
  allInMs: number;
  events: TraceEvent[];
  /** Pages in place, as the kernel counts them for the restored process. */
  resident: { atMs: number; pageCount: number }[];
}

/** One part of the run. */
export interface SectionReport {
  name: string;
  budgetS: number;
  tookS: number;
  /** What was left out for want of time. */
  cuts: string[];
}

/** What could not be measured on this machine. */
export interface Skipped {
  section: string;
  what: string;
  reason: string;
}

export interface Gate {
  name: string;
  /** Which figures it is made of; one policy of ours stands for all in one ratio. */
  of: string;
  value: number | undefined;
  gate: number;
  aim: number;
  /** `at least`: larger values are better. */
  sense: 'at least' | 'at most';
  met: boolean;
}

export interface BenchReport {
  createdAt: string;
  durationS: number;
  machine: { cpus: string; cpuCount: number; memoryMiB: number; kernel: string; node: string };
  reference: { heapMiB: number; touchedPageCount: number; repetitions: number };
  sections: SectionReport[];
  skipped: Skipped[];
  gates: Gate[];
  rows: Row[];
  dumps: DumpRow[];
  timelines: Timeline[];
}
