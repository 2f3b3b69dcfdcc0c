/** The ratios that the restore bench is judged by. */
import type { DumpRow, Gate, Row } from './report.ts';
import { OUR_POLICIES } from './sections.ts';

export interface GateInputs {
  rows: readonly Row[];
  dumps: readonly DumpRow[];
  footprintGateMiB: readonly [number, number];
}

type Sense = Gate['sense'];

export function gatesOf(inputs: GateInputs): Gate[] {
  const { rows, dumps, footprintGateMiB } = inputs;
  const find = (section: Row['section'], variant: string, temperature: Row['temperature'] = 'warm') =>
    rows.find((row) => row.section === section && row.variant === variant && row.temperature === temperature);
  const reference = (variant: string, temperature?: Row['temperature']) =>
    find('reference', variant, temperature)?.ttfrMs.p50;
  const best = (temperature: Row['temperature']) =>
    least(OUR_POLICIES.map((variant) => reference(variant, temperature)));
  const lazy = reference('our lazy');
  const wrongLogs = [
    'ordered, stale',
    'ordered, reversed',
    'ordered, foreign',
    'prefill, stale',
    'prefill, foreign',
  ];
  const dump = (into: DumpRow['into']) => dumps.find((row) => row.into === into)?.frozenMs.p50;
  const allIn = (variant: string) => find('reference', variant)?.allInMs?.p50;
  const faults = (variant: string) => find('reference', variant)?.faultCount?.p50;
  const [largeMiB, smallMiB] = footprintGateMiB;
  const footprint = (heapMiB: number) =>
    least(['our ordered', 'our prefill'].map((variant) => footprintOf(rows, variant, heapMiB)));
  const bestVariant = OUR_POLICIES.find((variant) => reference(variant) === best('warm'));
  const atOnce = (variant: string) => find('concurrency', variant)?.ttfrMs.p95;

  const ratio = (
    name: string,
    a: number | undefined,
    b: number | undefined,
    sense: Sense,
    gate: number,
    aim: number,
  ) => judged(name, a === undefined || b === undefined ? undefined : a / b, sense, gate, aim);
  return [
    ratio('stock eager ÷ ours best, cold', reference('stock eager', 'cold'), best('cold'), 'at least', 5, 12),
    ratio('stock eager ÷ ours best, warm', reference('stock eager'), best('warm'), 'at least', 3, 5),
    ratio('stock lazy ÷ ours best, cold', reference('stock lazy', 'cold'), best('cold'), 'at least', 3, 8),
    ratio('stock lazy ÷ ours best, warm', reference('stock lazy'), best('warm'), 'at least', 2, 3.5),
    ratio('ours best ÷ floor, warm', best('warm'), reference('floor'), 'at most', 1.6, 1.2),
    ratio('ours best ÷ floor, cold', best('cold'), reference('floor', 'cold'), 'at most', 1.6, 1.2),
    judged('slope over latency, stock lazy ÷ ours best', slopeRatio(rows), 'at least', 20, 200),
    ratio(
      `ours at ${largeMiB} MiB ÷ ours at ${smallMiB} MiB`,
      footprint(largeMiB),
      footprint(smallMiB),
      'at most',
      1.5,
      1.1,
    ),
    ratio(
      'demand faults, ours best ÷ our lazy',
      bestVariant === undefined ? undefined : faults(bestVariant),
      faults('our lazy'),
      'at most',
      0.05,
      0.01,
    ),
    ratio(
      'worst of stale, reversed and foreign log ÷ our lazy',
      greatest(wrongLogs.map((variant) => find('ablation', variant)?.ttfrMs.p50)),
      lazy,
      'at most',
      1.2,
      1,
    ),
    ratio(
      'all pages in, ours best ÷ stock lazy',
      bestVariant === undefined ? undefined : allIn(bestVariant),
      allIn('stock lazy'),
      'at most',
      1,
      0.7,
    ),
    ratio('recording ÷ our lazy', reference('our lazy, recording'), lazy, 'at most', 1.15, 1.03),
    ratio('our lazy ÷ stock lazy', lazy, reference('stock lazy'), 'at most', 1, 0.7),
    ratio(
      'several at once, p95, ours best ÷ stock lazy',
      least(['our ordered', 'our prefill'].map(atOnce)),
      atOnce('stock lazy'),
      'at most',
      0.5,
      0.25,
    ),
    ratio('time frozen, dump into store ÷ directory', dump('store'), dump('directory'), 'at most', 1.3, 1),
  ];
}

function judged(name: string, value: number | undefined, sense: Sense, gate: number, aim: number): Gate {
  const met = value !== undefined && (sense === 'at least' ? value >= gate : value <= gate);
  return { name, value, gate, aim, sense, met };
}

const known = (values: readonly (number | undefined)[]) => values.filter((value) => value !== undefined);
const least = (values: readonly (number | undefined)[]) =>
  known(values).length === 0 ? undefined : Math.min(...known(values));
const greatest = (values: readonly (number | undefined)[]) =>
  known(values).length === 0 ? undefined : Math.max(...known(values));

function footprintOf(rows: readonly Row[], variant: string, heapMiB: number): number | undefined {
  return rows.find((row) => row.section === 'footprint' && row.variant === variant && row.heapMiB === heapMiB)
    ?.ttfrMs.p50;
}

/** A line that falls or hardly rises: no ratio can be made of it beyond this. */
const LEAST_SLOPE_MS_PER_US = 0.001;

function slopeRatio(rows: readonly Row[]): number | undefined {
  const own = least(['our ordered', 'our prefill'].map((variant) => latencySlope(rows, variant)));
  const stock = latencySlope(rows, 'stock lazy, our server');
  return own === undefined || stock === undefined ? undefined : stock / Math.max(own, LEAST_SLOPE_MS_PER_US);
}

/** Least squares through the medians: ms of TTFR per µs of added latency each way. */
export function latencySlope(rows: readonly Row[], variant: string): number | undefined {
  const points = rows
    .filter((row) => row.section === 'latency' && row.variant === variant)
    .map((row): [number, number] => [row.latencyUs!, row.ttfrMs.p50]);
  if (points.length < 2) return undefined;
  const mean = (at: 0 | 1) => points.reduce((sum, point) => sum + point[at], 0) / points.length;
  const [meanX, meanY] = [mean(0), mean(1)];
  const covariance = points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0);
  const variance = points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0);
  return covariance / variance;
}
