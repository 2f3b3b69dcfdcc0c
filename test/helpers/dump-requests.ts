/** What a plane asks an agent for at a checkpoint. */
import type { CheckpointFinish, CheckpointRequest } from '../../interconnect/agent-api.ts';

export const TOKEN = 'ab'.repeat(32);
export const LATER_TOKEN = 'cd'.repeat(32);

/** For the fake CRIU, a process of its own, to begin and to end. */
export const PATIENT_MS = 120_000;

/** A whole dump whose changes are not tracked, unless said otherwise. */
export const dumpRequest = (
  deadlineMs = PATIENT_MS,
  more: Partial<CheckpointRequest> = {},
): CheckpointRequest => ({ token: TOKEN, deadlineMs, track: false, ...more });

export const RESUME: CheckpointFinish = { action: 'resume', committed: true };
export const GIVE_UP: CheckpointFinish = { action: 'resume', committed: false };
export const STOP: CheckpointFinish = { action: 'stop', committed: true };
