/** The report as text for a terminal. */
import type { BenchReport, Gate, Row } from './report.ts';

export function rowTable(report: Pick<BenchReport, 'rows' | 'dumps'>): string {
  const head = ['section', 'variant', 'point', 'p5', 'p50', 'p95', 'all in', 'faults'];
  const lines = report.rows.map((row) => [
    row.section,
    row.variant,
    pointOf(row),
    ms(row.ttfrMs.p5),
    ms(row.ttfrMs.p50),
    ms(row.ttfrMs.p95),
    ms(row.allInMs?.p50),
    row.faultCount === undefined ? '' : String(row.faultCount.p50),
  ]);
  const dumps = report.dumps.map((row) => [
    'dump',
    `into ${row.into}`,
    'frozen',
    ms(row.frozenMs.p5),
    ms(row.frozenMs.p50),
    ms(row.frozenMs.p95),
    '',
    '',
  ]);
  return table([head, ...lines, ...dumps]);
}

export function gateTable(report: BenchReport): string {
  const lines = report.gates.map((gate) => [
    gate.name,
    gate.value === undefined ? 'not measured' : gate.value.toFixed(3),
    `${gate.sense} ${gate.gate}`,
    String(gate.aim),
    verdictOf(gate),
  ]);
  return table([['ratio', 'value', 'gate', 'aim', ''], ...lines]);
}

const verdictOf = (gate: Gate) => (gate.met ? 'met' : 'MISSED');
const ms = (value: number | undefined) => (value === undefined ? '' : value.toFixed(1));

export function pointOf(row: Row): string {
  if (row.section === 'latency') return `${row.latencyUs!.toFixed(0)} µs`;
  if (row.section === 'bandwidth') return `${row.gbitPerS} Gbit/s`;
  if (row.section === 'footprint') return `${row.heapMiB} MiB`;
  return row.temperature;
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
