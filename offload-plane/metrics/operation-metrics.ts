/** Long calls as they end. */
import type { OperationView } from '../operations/operation.ts';
import type { Instruments } from './instruments.ts';

export function createOperationMetrics({ counter }: Instruments) {
  const ended = counter('operations_total', 'Long calls that ended, by kind and how', ['kind', 'outcome']);
  return {
    operationEnded: ({ kind, phase }: Pick<OperationView, 'kind' | 'phase'>) =>
      ended.inc({ kind, outcome: phase }),
  };
}
