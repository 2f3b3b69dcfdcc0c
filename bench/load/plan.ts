/** How much load, as data. */
export interface LoadPlan {
  memoryMiB: number;
  vcpus: number;
  containerCount: number;
  clientCount: number;
  requestsPerS: number;
  /** The same load before anything counts: compilers and caches. */
  warmUpS: number;
  durationS: number;
  sampleIntervalS: number;
  /** Left alone before memory is read: the agent collects what its work has left. */
  restS: number;
}

export const FULL_PLAN: LoadPlan = {
  memoryMiB: 3_072,
  vcpus: 2,
  containerCount: 100,
  clientCount: 8,
  requestsPerS: 200,
  warmUpS: 15,
  durationS: 60,
  sampleIntervalS: 3,
  restS: 30,
};

/** Says nothing about speed, but takes the same way through everything. */
export const SMALL_PLAN: LoadPlan = {
  ...FULL_PLAN,
  containerCount: 4,
  clientCount: 4,
  requestsPerS: 20,
  warmUpS: 2,
  durationS: 6,
  sampleIntervalS: 1,
  restS: 1,
};
