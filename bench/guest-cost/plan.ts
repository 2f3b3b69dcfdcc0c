/** How much is measured, as data. */
export interface GuestCostPlan {
  memoryMiB: number;
  vcpus: number;
  /** How long both sides are left alone, with a container each. */
  idleMs: number;
  /** They are left alone before that, until they rest, and at most so long. */
  settleMs: number;
  /** Starts of each variant. */
  startRounds: number;
  /** Echoes, and as many calls. */
  roundTrips: number;
}

export const FULL_PLAN: GuestCostPlan = {
  memoryMiB: 2_048,
  vcpus: 2,
  idleMs: 60_000,
  settleMs: 60_000,
  startRounds: 15,
  roundTrips: 1_000,
};

/** Says nothing about cost, but takes the same way through everything. */
export const SMALL_PLAN: GuestCostPlan = {
  ...FULL_PLAN,
  idleMs: 1_000,
  settleMs: 0,
  startRounds: 2,
  roundTrips: 20,
};
