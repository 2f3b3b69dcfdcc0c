/** The pager's part of a restore, from what its page session has seen. */
import type { RestoreView } from '../restores/restore.ts';
import type { TimelineMark, TimelineView } from '../restores/timeline.ts';
import type { FinishedSpan } from './tracing.ts';

/** @param startMs of the restore, since the epoch; the marks are counted from there */
export function pagerSpan(
  startMs: number,
  { marks, samples, ended }: TimelineView,
  restore: Pick<RestoreView, 'effectivePolicy' | 'faultCount' | 'pushedPageCount' | 'guest'>,
): FinishedSpan | undefined {
  const at = (name: TimelineMark) => marks.find(({ mark }) => mark === name)?.atMs;
  const connectedMs = at('connected');
  const endMs = at('complete') ?? at('failed');
  const last = samples.at(-1);
  if (connectedMs === undefined || endMs === undefined || last === undefined || !ended) return undefined;
  const part = (name: string, fromMs: number | undefined, toMs: number | undefined): FinishedSpan[] =>
    fromMs === undefined || toMs === undefined || toMs < fromMs
      ? []
      : [{ service: 'offload-pager', name, startMs: startMs + fromMs, endMs: startMs + toMs }];
  const responseMs = at('firstResponse');
  return {
    service: 'offload-pager',
    name: 'page session',
    startMs: startMs + connectedMs,
    endMs: startMs + endMs,
    attributes: {
      'offload.guest': restore.guest,
      'offload.policy': restore.effectivePolicy,
      'offload.pages.file': last.filePageCount,
      'offload.pages.pushed': last.pushedPageCount,
      'offload.pages.demanded': last.demandedPageCount,
      'offload.pages.filled': last.filledPageCount,
      'offload.faults': restore.faultCount,
    },
    events: marks.map(({ atMs, mark }) => ({ name: mark, atMs: startMs + atMs })),
    children: [
      ...part('until the container runs', connectedMs, at('restored')),
      ...part('until the first response', at('restored') ?? connectedMs, responseMs),
      ...part('until the last page', responseMs ?? at('restored') ?? connectedMs, endMs),
    ],
  };
}
