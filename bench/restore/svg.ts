/** Bars and curves as SVG text, without a browser and without scripts. */

export interface Bar {
  label: string;
  colour: string;
  low: number;
  middle: number;
  high: number;
}

export interface Curve {
  label: string;
  colour: string;
  points: readonly (readonly [number, number])[];
  /** Values stay until the next point, as counts do. */
  stepped?: boolean;
}

export interface CurveChart {
  xLabel: string;
  yLabel: string;
  logX?: boolean;
  logY?: boolean;
  /** Names in place of numbers on the horizontal axis. */
  xNames?: Readonly<Record<number, string>>;
  curves: readonly Curve[];
  /** A vertical line with a name. */
  mark?: { x: number; label: string };
}

const WIDTH = 760;
const TICK_COUNT = 5;
const BAR_HEIGHT = 22;
const LABEL_WIDTH = 190;
const CURVE_HEIGHT = 300;
const MARGIN = { left: 70, right: 200, top: 12, bottom: 42 };

export const escapeText = (text: string) =>
  text.replace(/[&<>"]/g, (sign) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[sign]!);

const number = (value: number) => Number(value.toPrecision(6));
const text = (x: number, y: number, content: string, more = '') =>
  `<text x="${number(x)}" y="${number(y)}" ${more}>${escapeText(content)}</text>`;
const line = (x1: number, y1: number, x2: number, y2: number, more: string) =>
  `<line x1="${number(x1)}" y1="${number(y1)}" x2="${number(x2)}" y2="${number(y2)}" ${more}/>`;
const svg = (height: number, parts: readonly string[], title: string) =>
  `<svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${escapeText(title)}">${parts.join('')}</svg>`;

/** Round steps of 1, 2 or 5 that cover the range. */
export function ticksUpTo(highest: number): number[] {
  const raw = Math.max(highest, Number.MIN_VALUE) / TICK_COUNT;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= raw)!;
  return Array.from({ length: Math.ceil(highest / step - 1e-9) + 1 }, (_, i) => number(i * step));
}

/** Bars to the median, with a whisker from p5 to p95. */
export function barChart(title: string, unit: string, bars: readonly Bar[]): string {
  const ticks = ticksUpTo(Math.max(...bars.map((bar) => bar.high)));
  const right = WIDTH - 70;
  const x = (value: number) => LABEL_WIDTH + (value / ticks.at(-1)!) * (right - LABEL_WIDTH);
  const bottom = bars.length * BAR_HEIGHT + 8;
  const parts = ticks.flatMap((tick) => [
    line(x(tick), 0, x(tick), bottom, 'class="grid"'),
    text(x(tick), bottom + 16, `${tick}`, 'text-anchor="middle"'),
  ]);
  parts.push(text(right, bottom + 34, unit, 'text-anchor="end"'));
  bars.forEach((bar, i) => {
    const y = i * BAR_HEIGHT + 4;
    const middle = y + (BAR_HEIGHT - 6) / 2;
    parts.push(
      text(LABEL_WIDTH - 8, middle + 4, bar.label, 'text-anchor="end"'),
      `<rect x="${LABEL_WIDTH}" y="${y}" width="${number(x(bar.middle) - LABEL_WIDTH)}" height="${BAR_HEIGHT - 6}" fill="${bar.colour}"><title>p5 ${bar.low.toFixed(1)}, p50 ${bar.middle.toFixed(1)}, p95 ${bar.high.toFixed(1)} ${unit}</title></rect>`,
      line(x(bar.low), middle, x(bar.high), middle, 'class="whisker"'),
      text(x(bar.high) + 6, middle + 4, bar.middle.toFixed(bar.middle < 100 ? 1 : 0)),
    );
  });
  return svg(bottom + 40, parts, title);
}

export function curveChart(title: string, chart: CurveChart): string {
  const values = chart.curves.flatMap((curve) => curve.points);
  if (values.length === 0) return '';
  const area = {
    left: MARGIN.left,
    right: WIDTH - MARGIN.right,
    top: MARGIN.top,
    bottom: CURVE_HEIGHT - MARGIN.bottom,
  };
  const xs = [...values.map(([value]) => value), ...(chart.mark ? [chart.mark.x] : [])];
  const horizontal = axis(xs, chart.logX === true, area.left, area.right);
  const vertical = axis(
    values.map(([, value]) => value),
    chart.logY === true,
    area.bottom,
    area.top,
  );
  const parts = [
    ...horizontal.ticks.flatMap((tick) => [
      line(horizontal.at(tick), area.top, horizontal.at(tick), area.bottom, 'class="grid"'),
      text(horizontal.at(tick), area.bottom + 16, chart.xNames?.[tick] ?? `${tick}`, 'text-anchor="middle"'),
    ]),
    ...vertical.ticks.flatMap((tick) => [
      line(area.left, vertical.at(tick), area.right, vertical.at(tick), 'class="grid"'),
      text(area.left - 6, vertical.at(tick) + 4, `${tick}`, 'text-anchor="end"'),
    ]),
    text((area.left + area.right) / 2, CURVE_HEIGHT - 6, chart.xLabel, 'text-anchor="middle"'),
    text(
      14,
      area.top + 100,
      chart.yLabel,
      `text-anchor="middle" transform="rotate(-90 14 ${area.top + 100})"`,
    ),
  ];
  chart.curves.forEach((curve, i) => {
    const y = area.top + 14 + i * 18;
    const points = curve.points.map(([a, b]) => [horizontal.at(a), vertical.at(b)] as const);
    parts.push(
      `<path d="${pathOf(points, curve.stepped === true)}" fill="none" stroke="${curve.colour}" stroke-width="2"/>`,
      ...(curve.stepped ? [] : points.map(([a, b]) => dot(a, b, curve.colour))),
      line(area.right + 12, y, area.right + 32, y, `stroke="${curve.colour}" stroke-width="3"`),
      text(area.right + 38, y + 4, curve.label),
    );
  });
  if (chart.mark !== undefined) {
    const at = horizontal.at(chart.mark.x);
    parts.push(
      line(at, area.top, at, area.bottom, 'class="mark"'),
      text(at + 4, area.top + 12, chart.mark.label),
    );
  }
  return svg(CURVE_HEIGHT, parts, title);
}

const dot = (x: number, y: number, colour: string) =>
  `<circle cx="${number(x)}" cy="${number(y)}" r="3" fill="${colour}"/>`;

function pathOf(points: readonly (readonly [number, number])[], stepped: boolean): string {
  return points
    .map(([x, y], i) => {
      if (i === 0) return `M${number(x)} ${number(y)}`;
      return stepped ? `H${number(x)}V${number(y)}` : `L${number(x)} ${number(y)}`;
    })
    .join('');
}

interface Axis {
  ticks: number[];
  at(value: number): number;
}

function axis(values: readonly number[], log: boolean, from: number, to: number): Axis {
  if (!log) {
    const ticks = ticksUpTo(Math.max(...values));
    return { ticks, at: (value) => from + (value / ticks.at(-1)!) * (to - from) };
  }
  const positive = values.filter((value) => value > 0);
  const ticks = logTicks(Math.min(...positive), Math.max(...positive));
  const [low, high] = [Math.log10(ticks[0]!), Math.log10(ticks.at(-1)!)];
  const at = (value: number) =>
    from + ((Math.log10(Math.max(value, ticks[0]!)) - low) / (high - low)) * (to - from);
  return { ticks, at };
}

const LOG_TICK_COUNT_MAX = 10;

/** Steps of 1, 2 and 5 around the values, or of powers of ten where those were too many. */
export function logTicks(lowest: number, highest: number): number[] {
  const powers = { from: Math.floor(Math.log10(lowest)), to: Math.ceil(Math.log10(highest)) };
  const count = powers.to - powers.from + 1;
  const decades = Array.from({ length: count }, (_, i) => 10 ** (powers.from + i));
  if (count === 1) return [decades[0]!, decades[0]! * 10].map(number);
  const steps = decades.flatMap((power) => [power, 2 * power, 5 * power]);
  const first = steps.findLastIndex((step) => step <= lowest);
  const last = steps.findIndex((step) => step >= highest);
  const fine = steps.slice(first, last + 1);
  return (fine.length > LOG_TICK_COUNT_MAX || fine.length < 2 ? decades : fine).map(number);
}
