/** Bounds of what is told of a checkpoint: its images are a guest's, and could name the same thing very often. */
import { OffloadError } from '../../../platform/errors.ts';
import { MIB } from '../../../platform/units.ts';

export const MAX_IMAGE_BYTES = 64 * MIB;
export const MAX_COMMAND_BYTES = 64 * 1024;
/** Processes, threads, handles and mappings of one checkpoint together. */
const MAX_LISTED = 1 << 18;

export interface Budget {
  /** @throws {OffloadError} invalid_checkpoint, when that is more than can be told */
  spend(count: number): void;
}

export function createBudget(checkpoint: string): Budget {
  let left = MAX_LISTED;
  return {
    spend(count) {
      left -= count;
      if (left >= 0) return;
      throw new OffloadError(
        'invalid_checkpoint',
        `inspect checkpoint ${checkpoint}: more than ${MAX_LISTED} processes, threads, handles and mappings`,
      );
    },
  };
}
