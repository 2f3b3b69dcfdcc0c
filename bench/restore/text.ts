/** The report as text for a terminal. */
import type { BenchReport, Gate, Row } from './report.ts';

export function rowTable(report: Pick<BenchReport, 'rows' | 'dumps'>): string {
  const head = ['section', 'variant', 'point', 'n', 'p5', 'p50', 'p95', 'all in', 'faults'];
  const lines = report.rows.map((row) => [
    row.section,
    row.variant,
    pointOf(row),
    String(row.ttfrMs.count),
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
    String(row.frozenMs.count),
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
    gateValue(gate),
    `${gate.sense} ${gate.gate}`,
    String(gate.aim),
    verdictOf(gate),
    gate.of,
  ]);
  return table([['ratio', 'value', 'gate', 'aim', '', 'of'], ...lines]);
}

/** How long each section took, and what is missing. */
export function sectionTable(report: BenchReport): string {
  const lines = report.sections.map(({ name, tookS, budgetS }) => [name, tookS.toFixed(0), String(budgetS)]);
  return [table([['section', 'took s', 'budget s'], ...lines]), ...missingLines(report)].join('\n');
}

/** What a reader could miss in the figures. */
export function missingLines({ sections, skipped }: BenchReport): string[] {
  return [
    ...sections.flatMap(({ name, cuts }) => cuts.map((cut) => `Cut for want of time, ${name}: ${cut}.`)),
    ...skipped.map(({ section, what, reason }) => `Skipped, ${section}: ${what}: ${reason}.`),
  ];
}

export function gateValue({ value }: Gate): string {
  if (value === undefined) return 'not measured';
  return value < 1000 ? value.toPrecision(3) : value.toFixed(0);
}
export const verdictOf = (gate: Gate) => (gate.met ? 'met' : 'MISSED');
const ms = (value: number | undefined) => (value === undefined ? '' : value.toFixed(1));

export function pointOf(row: Row): string {
  if (row.section === 'latency') return `${row.latencyUs!.toFixed(0)} µs`;
  if (row.section === 'bandwidth') return row.gbitPerS === 0 ? 'unshaped' : `${row.gbitPerS} Gbit/s`;
  if (row.section === 'footprint') return `${row.heapMiB} MiB`;
  if (row.section === 'workload') return `${row.workload}, ${row.temperature}`;
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
