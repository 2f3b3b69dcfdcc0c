/** A plane's deadlines for tests that are about none of them: on a busy machine everything takes its time. */
import { DEFAULT_TIMEOUTS, type Timeouts } from '../../offload-plane/plane.ts';

export const PATIENT_TIMEOUTS: Timeouts = {
  ...DEFAULT_TIMEOUTS,
  guestConnectMs: 600_000,
  guestLostMs: 600_000,
  callMs: 120_000,
  checkpointMs: 600_000,
  restoreMs: 600_000,
  dumpIdleMs: 600_000,
};
