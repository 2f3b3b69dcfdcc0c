/** Pages over time, one area over the other, with lines where something happened. */
import { useEffect, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';
import type { TimelineMark, TimelineMarkAt, TimelineSample } from '../../restores/timeline.ts';
import { count, milliseconds } from './format.ts';
import { patternOf } from './patterns.ts';
import { colourOf, onSchemeChange } from './scheme.ts';
import { CAUSES, stacked } from './timeline.ts';

const HEIGHT = 220;
/** Labels of neighbouring lines stand in different rows. */
const LABEL_ROWS = 2;
const LABEL_HEIGHT = 14;
const TICK_SPACE = 64;
const MARKED: Partial<Record<TimelineMark, string>> = {
  restored: 'runs',
  firstResponse: 'first response',
  complete: 'all in place',
  failed: 'failed',
};

interface Props {
  title: string;
  samples: readonly TimelineSample[];
  marks: readonly TimelineMarkAt[];
}

export function StackedChart({ title, samples, marks }: Props) {
  const place = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot>(undefined);
  const shownMarks = useRef(marks);
  shownMarks.current = marks;
  const [scheme, setScheme] = useState(0);

  useEffect(() => onSchemeChange(() => setScheme((changes) => changes + 1)), []);
  useEffect(() => {
    const element = place.current!;
    const made = new uPlot(
      optionsOf(element.clientWidth, () => shownMarks.current),
      [[]],
      element,
    );
    chart.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: HEIGHT }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
    };
  }, [scheme]);
  useEffect(() => {
    chart.current?.setData(topFirst(stacked(samples)) as uPlot.AlignedData);
  }, [samples, marks, scheme]);

  const last = samples.at(-1);
  const total = last === undefined ? 0 : CAUSES.reduce((sum, { key }) => sum + last[key], 0);
  return (
    <div class="chart">
      <h4>{title}</h4>
      <div
        ref={place}
        role="img"
        aria-label={`${count(total)} pages within ${milliseconds(last?.atMs ?? 0)}`}
      />
    </div>
  );
}

/** Each area reaches down to 0: the highest is drawn first, and the next over it. */
const topFirst = ([times, ...layers]: number[][]): number[][] => [times!, ...layers.reverse()];

function optionsOf(width: number, marks: () => readonly TimelineMarkAt[]): uPlot.Options {
  const axis = {
    stroke: colourOf('muted'),
    grid: { stroke: colourOf('line'), width: 1 },
    ticks: { show: false },
    font: '11px system-ui, sans-serif',
  };
  return {
    width,
    height: HEIGHT,
    legend: { show: false },
    cursor: { show: false },
    padding: [LABEL_HEIGHT * LABEL_ROWS + 4, 26, 0, 0],
    scales: { x: { time: false }, y: { range: (_chart, _low, high) => [0, Math.max(high, 1) * 1.05] } },
    axes: [
      { ...axis, size: 28, space: TICK_SPACE, values: (_chart, splits) => splits.map(shortMs) },
      { ...axis, size: 52, values: (_chart, splits) => splits.map(count) },
    ],
    series: [
      {},
      ...[...CAUSES].reverse().map(({ colour }) => ({
        stroke: colourOf(colour),
        width: 1,
        fill: patternOf(colour),
        points: { show: false },
      })),
    ],
    hooks: { draw: [(chart) => drawMarks(chart, marks())] },
  };
}

const shortMs = (ms: number): string =>
  ms < 1_000 ? `${Math.round(ms)} ms` : `${Number((ms / 1_000).toFixed(2))} s`;

function drawMarks(chart: uPlot, marks: readonly TimelineMarkAt[]): void {
  const { ctx, bbox } = chart;
  const [lowest, highest] = [chart.scales.x!.min ?? 0, chart.scales.x!.max ?? 0];
  ctx.save();
  ctx.font = `${11 * devicePixelRatio}px system-ui, sans-serif`;
  ctx.textBaseline = 'bottom';
  const shown = marks.filter(({ atMs, mark }) => mark in MARKED && atMs >= lowest && atMs <= highest);
  for (const [index, { atMs, mark }] of shown.entries()) {
    const x = chart.valToPos(atMs, 'x', true);
    ctx.strokeStyle = ctx.fillStyle = colourOf('ink');
    ctx.setLineDash([4 * devicePixelRatio, 3 * devicePixelRatio]);
    ctx.lineWidth = devicePixelRatio;
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    // Near the right edge the words end at the line.
    ctx.textAlign = x > bbox.left + bbox.width * 0.7 ? 'right' : 'left';
    const row = index % LABEL_ROWS;
    ctx.fillText(MARKED[mark]!, x, bbox.top - (3 + row * LABEL_HEIGHT) * devicePixelRatio);
  }
  ctx.restore();
}
