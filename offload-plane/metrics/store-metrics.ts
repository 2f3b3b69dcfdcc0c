/** Checkpoints as they are taken, and what the store does with them. */
import type { CheckpointOutcome } from '../checkpoints/checkpoint.ts';
import type { Instruments } from './instruments.ts';

export function createStoreMetrics({ counter, histogram }: Instruments) {
  const evictions = counter('store_evictions_total', 'Checkpoints removed to make room for others');
  const taken = counter('checkpoints_total', 'Checkpoints committed');
  const failed = counter('checkpoint_failures_total', 'Checkpoints that failed; their containers ran on');
  const bytes = counter('checkpoint_bytes_total', 'Bytes received from guests for checkpoints');
  const frozen = histogram('checkpoint_frozen_seconds', 'Time a container stood still for a checkpoint');
  return {
    checkpointEvicted: () => evictions.inc(),
    checkpointTaken({ frozenMs, transfers }: CheckpointOutcome): void {
      taken.inc();
      for (const { receivedBytes } of transfers) bytes.inc(receivedBytes);
      frozen.observe(frozenMs / 1_000);
    },
    checkpointFailed: () => failed.inc(),
  };
}
