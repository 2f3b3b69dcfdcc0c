/** How large a run of the restore bench is. */

export interface BenchPlan {
  heapMiB: number;
  touchedPageCount: number;
  /** Of each variant in the reference case. */
  repetitions: number;
  /** Of each point of a curve. */
  pointRepetitions: number;
  dumpRepetitions: number;
  latenciesUs: readonly number[];
  gbitPerS: readonly number[];
  footprintsMiB: readonly number[];
  /** The two footprints whose ratio is a gate. */
  footprintGateMiB: readonly [number, number];
  /** Data in each real program. */
  programMiB: number;
  concurrency: number;
  concurrencyRounds: number;
}

export const FULL_PLAN: BenchPlan = {
  heapMiB: 512,
  touchedPageCount: 6_000,
  repetitions: 20,
  pointRepetitions: 3,
  dumpRepetitions: 3,
  latenciesUs: [0, 25, 50, 100, 200],
  gbitPerS: [0.1, 1, 10],
  footprintsMiB: [64, 256, 1_024, 2_048],
  footprintGateMiB: [1_024, 64],
  programMiB: 200,
  concurrency: 8,
  concurrencyRounds: 3,
};

/** Says nothing about speed, but takes the same way through everything. */
export const SMALL_PLAN: BenchPlan = {
  heapMiB: 16,
  touchedPageCount: 300,
  repetitions: 2,
  pointRepetitions: 1,
  dumpRepetitions: 1,
  latenciesUs: [0, 200],
  gbitPerS: [1],
  footprintsMiB: [8, 32],
  footprintGateMiB: [32, 8],
  programMiB: 8,
  concurrency: 3,
  concurrencyRounds: 1,
};
