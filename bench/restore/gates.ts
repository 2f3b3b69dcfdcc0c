/** The ratios that the restore bench is judged by. */
import type { Statistics } from '../statistics.ts';
import type { DumpRow, Gate, Row, Temperature } from './report.ts';

export interface GateInputs {
  rows: readonly Row[];
  dumps: readonly DumpRow[];
  footprintGateMiB: readonly [number, number];
  concurrency: number;
}

/** Ours at its best is one of these, the same on both sides of a ratio and in all figures of it. */
const OURS = ['our ordered', 'our prefill'];
const WRONG_LOGS = [
  'ordered, stale',
  'ordered, reversed',
  'ordered, foreign',
  'prefill, stale',
  'prefill, foreign',
];

/** One side of a ratio. */
interface Term {
  name: string;
  value: number;
  unit: string;
}

export function gatesOf({ rows, dumps, footprintGateMiB, concurrency }: GateInputs): Gate[] {
  const median = (section: Row['section'], variant: string, temperature: Temperature = 'warm') =>
    term(rows.find(isRow(section, variant, temperature)), 'ttfrMs');
  const reference = (variant: string, temperature?: Temperature) => median('reference', variant, temperature);
  const best = (temperature?: Temperature) => least(OURS.map((variant) => reference(variant, temperature)));
  const bestWarm = rows.find(isRow('reference', best()?.name ?? '', 'warm'));
  const lazyRow = rows.find(isRow('reference', 'our lazy', 'warm'));
  const stockLazyRow = rows.find(isRow('reference', 'stock lazy', 'warm'));
  const [large, small] = footprintTerms(rows, footprintGateMiB);
  const atOnce = (variant: string) => term(rows.find(isRow('concurrency', variant, 'warm')), 'ttfrMs', 'p95');
  const dump = (into: DumpRow['into']): Term | undefined => {
    const row = dumps.find((candidate) => candidate.into === into);
    return row && { name: `into ${into}`, value: row.frozenMs.p50, unit: 'ms' };
  };

  return [
    atLeast('stock eager ÷ ours best, cold', reference('stock eager', 'cold'), best('cold'), 5, 12),
    atLeast('stock eager ÷ ours best, warm', reference('stock eager'), best(), 3, 5),
    atLeast('stock lazy ÷ ours best, cold', reference('stock lazy', 'cold'), best('cold'), 3, 8),
    atLeast('stock lazy ÷ ours best, warm', reference('stock lazy'), best(), 2, 3.5),
    atMost('ours best ÷ floor, warm', best(), reference('floor'), 1.6, 1.2),
    atMost('ours best ÷ floor, cold', best('cold'), reference('floor', 'cold'), 1.6, 1.2),
    atLeast(
      'TTFR per µs of interconnect latency, stock lazy ÷ ours best',
      slopeTerm(rows, 'stock lazy, our server'),
      ownSlopeTerm(rows, best()?.name ?? ''),
      20,
      200,
    ),
    atMost(`ours best at ${footprintGateMiB[0]} MiB ÷ at ${footprintGateMiB[1]} MiB`, large, small, 1.5, 1.1),
    atMost(
      'demand faults, ours best ÷ our lazy',
      term(bestWarm, 'faultCount'),
      term(lazyRow, 'faultCount'),
      0.05,
      0.01,
    ),
    atMost(
      'worst of stale, reversed and foreign log ÷ our lazy',
      greatest(WRONG_LOGS.map((variant) => median('ablation', variant))),
      reference('our lazy'),
      1.2,
      1,
    ),
    atMost(
      'all pages in, ours best ÷ stock lazy',
      term(bestWarm, 'allInMs'),
      term(stockLazyRow, 'allInMs'),
      1,
      0.7,
    ),
    atMost('recording run ÷ our lazy', reference('our lazy, recording'), reference('our lazy'), 1.15, 1.03),
    atMost('our lazy ÷ stock lazy', reference('our lazy'), reference('stock lazy'), 1, 0.7),
    atMost(
      `${concurrency} restores at once, p95, ours best ÷ stock lazy`,
      least(OURS.map(atOnce)),
      atOnce('stock lazy'),
      0.5,
      0.25,
    ),
    atMost('time frozen, dump into our store ÷ into a directory', dump('store'), dump('directory'), 1.3, 1),
  ];
}

const isRow = (section: Row['section'], variant: string, temperature: Temperature) => (row: Row) =>
  row.section === section && row.variant === variant && row.temperature === temperature;

function term(
  row: Row | undefined,
  figure: 'ttfrMs' | 'allInMs' | 'faultCount',
  at: 'p50' | 'p95' = 'p50',
): Term | undefined {
  const statistics: Statistics | undefined = row?.[figure];
  if (row === undefined || statistics === undefined) return undefined;
  return { name: row.variant, value: statistics[at], unit: figure === 'faultCount' ? 'faults' : 'ms' };
}

/** Ours at both footprints: the policy that is the better one at the larger. */
function footprintTerms(
  rows: readonly Row[],
  [largeMiB, smallMiB]: readonly [number, number],
): [Term | undefined, Term | undefined] {
  const at = (heapMiB: number, variant: string) => {
    const found = rows.find((row) => isRow('footprint', variant, 'warm')(row) && row.heapMiB === heapMiB);
    return term(found, 'ttfrMs');
  };
  const large = least(OURS.map((variant) => at(largeMiB, variant)));
  return [large, large && at(smallMiB, large.name)];
}

type Side = Term | undefined;
const atLeast = (name: string, above: Side, below: Side, gate: number, aim: number) =>
  judged(name, above, below, 'at least', gate, aim);
const atMost = (name: string, above: Side, below: Side, gate: number, aim: number) =>
  judged(name, above, below, 'at most', gate, aim);

function judged(
  name: string,
  above: Side,
  below: Side,
  sense: Gate['sense'],
  gate: number,
  aim: number,
): Gate {
  const value = above && below && above.value / below.value;
  const met = value !== undefined && (sense === 'at least' ? value >= gate : value <= gate);
  return { name, of: `${described(above)} ÷ ${described(below)}`, value, gate, aim, sense, met };
}

function described(side: Side): string {
  if (side === undefined) return 'not measured';
  return `${side.name} ${Number(side.value.toPrecision(4))} ${side.unit}`;
}

const known = (terms: readonly Side[]) => terms.filter((side) => side !== undefined);
const least = (terms: readonly Side[]): Side => known(terms).sort((a, b) => a.value - b.value)[0];
const greatest = (terms: readonly Side[]): Side => known(terms).sort((a, b) => b.value - a.value)[0];

/** One round trip: no restore from afar can do with less, whatever a noisy line through its medians says. */
const LEAST_SLOPE_MS_PER_US = 0.002;

function slopeTerm(rows: readonly Row[], variant: string): Side {
  const value = latencySlope(rows, variant);
  return value === undefined ? undefined : { name: variant, value, unit: 'ms/µs' };
}

function ownSlopeTerm(rows: readonly Row[], variant: string): Side {
  const measured = slopeTerm(rows, variant);
  if (measured === undefined || measured.value >= LEAST_SLOPE_MS_PER_US) return measured;
  const name = `${variant} (measured ${measured.value.toPrecision(2)}) at least`;
  return { ...measured, name, value: LEAST_SLOPE_MS_PER_US };
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
