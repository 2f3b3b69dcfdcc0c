/** How large a run of the restore bench is. */
import { MS_PER_S } from '../../platform/units.ts';
import type { Temperature } from './report.ts';

export const SECTIONS = ['concurrency', 'latency', 'bandwidth', 'footprint', 'programs'] as const;
export type Section = (typeof SECTIONS)[number];

export interface BenchPlan {
  heapMiB: number;
  touchedPageCount: number;
  /** Of each variant in the reference case. */
  repetitions: number;
  dumpRepetitions: number;
  latenciesUs: readonly number[];
  latencyRepetitions: number;
  /** 0: not shaped. The slowest comes last: it has the time that the others did not need. */
  gbitPerS: readonly number[];
  bandwidthRepetitions: number;
  /** In the order in which they are measured: what a gate needs comes first. */
  footprintsMiB: readonly number[];
  footprintRepetitions: number;
  /** The two footprints whose ratio is a gate. */
  footprintGateMiB: readonly [number, number];
  /** Data in each real program. */
  programMiB: number;
  programRepetitions: number;
  programTemperatures: readonly Temperature[];
  concurrency: number;
  concurrencyRounds: number;
  totalMs: number;
  /** A section that is over, or with which the whole run would be, takes no further round and says so. */
  budgetMs: Readonly<Record<Section | 'reference', number>>;
}

/** Less than 20 minutes, on two CPUs. */
export const FULL_PLAN: BenchPlan = {
  heapMiB: 512,
  touchedPageCount: 6_000,
  repetitions: 20,
  dumpRepetitions: 5,
  latenciesUs: [0, 25, 50, 100, 200],
  latencyRepetitions: 9,
  gbitPerS: [0, 10, 1, 0.1],
  bandwidthRepetitions: 4,
  footprintsMiB: [64, 1_024, 256, 2_048],
  footprintRepetitions: 7,
  footprintGateMiB: [1_024, 64],
  programMiB: 128,
  programRepetitions: 3,
  programTemperatures: ['warm', 'cold'],
  concurrency: 8,
  concurrencyRounds: 3,
  totalMs: 1_150 * MS_PER_S,
  budgetMs: {
    reference: 680 * MS_PER_S,
    concurrency: 75 * MS_PER_S,
    latency: 110 * MS_PER_S,
    bandwidth: 80 * MS_PER_S,
    footprint: 130 * MS_PER_S,
    programs: 170 * MS_PER_S,
  },
};

/** Says nothing about speed, but takes the same way through everything. */
export const SMALL_PLAN: BenchPlan = {
  heapMiB: 16,
  touchedPageCount: 300,
  repetitions: 1,
  dumpRepetitions: 1,
  latenciesUs: [0, 200],
  latencyRepetitions: 1,
  gbitPerS: [1],
  bandwidthRepetitions: 1,
  footprintsMiB: [8, 32],
  footprintRepetitions: 1,
  footprintGateMiB: [32, 8],
  programMiB: 8,
  programRepetitions: 1,
  programTemperatures: ['warm'],
  concurrency: 3,
  concurrencyRounds: 1,
  totalMs: FULL_PLAN.totalMs,
  budgetMs: FULL_PLAN.budgetMs,
};
