/** A restore's span: from its request to its last page, which comes long after the request was answered. */
import { pagerSpan } from '../tracing/pager-spans.ts';
import type { Tracing } from '../tracing/tracing.ts';
import type { RestoreView } from './restore.ts';
import type { TimelineView } from './timeline.ts';

export interface RestoreTrace {
  /** Calls of agents that are made meanwhile are below it. */
  run<T>(work: () => T): T;
  /** It is complete, or has failed. */
  end(restore: RestoreView, timeline: TimelineView): void;
}

/** @param agoMs since the restore request */
export function traceRestore(tracing: Tracing, agoMs: number): RestoreTrace {
  const startMs = tracing.nowMs() - agoMs;
  const span = tracing.begin('restore');
  return {
    run: (work) => span.run(work),
    end(restore, timeline) {
      span.set({
        'offload.restore': restore.id,
        'offload.checkpoint': restore.checkpoint,
        'offload.container': restore.container,
        'offload.guest': restore.guest,
        'offload.policy': restore.policy,
      });
      const pager = pagerSpan(startMs, timeline, restore);
      if (pager) span.record(pager);
      span.end(restore.error?.message);
    },
  };
}
