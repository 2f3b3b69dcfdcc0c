/** One restore: its pages over time, up to the first response and up to the last page. */
import type { RestoreView } from '../../restores/restore.ts';
import { count, milliseconds } from './format.ts';
import { isUnderWay } from './live.ts';
import { StackedChart } from './stacked-chart.tsx';
import { CAUSES, markOf, type Pages, until, useTimeline } from './timeline.ts';

export function RestoreChart({ restore }: { restore: RestoreView }) {
  const pages = withResponse(useTimeline(restore.id), restore.firstResponseMs);
  const responseMs = markOf(pages, 'firstResponse');
  const { samples } = pages;
  const early = responseMs === undefined ? [] : until(samples, responseMs);
  return (
    <figure class="card timeline" aria-labelledby="timeline-title" data-samples={samples.length}>
      <figcaption id="timeline-title">
        Pages of <b>{restore.container}</b> over time{' '}
        <small>
          {restore.effectivePolicy}, from {restore.checkpoint}
        </small>
      </figcaption>
      <div class="charts">
        {early.length > 1 ? (
          <StackedChart title="until the first response" samples={early} marks={pages.marks} />
        ) : null}
        {samples.length > 1 ? (
          <StackedChart title="until the last page" samples={samples} marks={pages.marks} />
        ) : (
          <p class="empty">
            {isUnderWay(restore) ? 'No page has been sent yet.' : 'Its pages over time are not known.'}
          </p>
        )}
      </div>
      <Legend pages={pages} />
      <p class="summary">{summary(restore, pages)}</p>
      {restore.error === undefined ? null : <p class="problem">{restore.error.message}</p>}
    </figure>
  );
}

/** A response that came after the last page is not among what was followed. */
function withResponse(pages: Pages, atMs: number | undefined): Pages {
  if (atMs === undefined || markOf(pages, 'firstResponse') !== undefined) return pages;
  return { ...pages, marks: [...pages.marks, { atMs, mark: 'firstResponse' }] };
}

function Legend({ pages }: { pages: Pages }) {
  const last = pages.samples.at(-1);
  return (
    <ul class="legend">
      {CAUSES.map(({ key, name, colour }) => (
        <li key={key}>
          <span class={`swatch ${colour}`} aria-hidden="true" /> {name} <b>{count(last?.[key] ?? 0)}</b>
        </li>
      ))}
    </ul>
  );
}

function summary(restore: RestoreView, pages: Pages): string {
  const at = (name: Parameters<typeof markOf>[1], text: string) => {
    const ms = markOf(pages, name);
    return ms === undefined ? [] : [`${text} after ${milliseconds(ms)}`];
  };
  const marks = [
    ...at('connected', 'pager connected'),
    ...at('restored', 'running'),
    ...at('firstResponse', 'first response'),
    ...at('complete', 'all pages in place'),
    ...at('failed', 'failed'),
  ];
  const text = marks.length === 0 ? 'Nothing has happened yet' : marks.join(', ');
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}; ${count(restore.faultCount)} faults.`;
}
