/** The report as Markdown, so that figures in documents come from a run and from nowhere else. */
import { table } from '../../platform/markdown.ts';
import type { BenchReport, Row } from './report.ts';
import { gateValue, missingLines, pointOf, verdictOf } from './text.ts';

export function reportMarkdown(report: BenchReport): string {
  const { machine, reference, rows } = report;
  const of = (section: Row['section'], temperature?: Row['temperature']) =>
    rows.filter(
      (row) => row.section === section && (temperature === undefined || row.temperature === temperature),
    );
  const parts = [
    `Run of ${report.createdAt.slice(0, 10)}, ${(report.durationS / 60).toFixed(0)} minutes: ${machine.cpus}, ${machine.cpuCount} CPUs, ${machine.memoryMiB} MiB, Linux ${machine.kernel}, Node ${machine.node}. Reference case: ${reference.heapMiB} MiB, ${reference.touchedPageCount} pages touched, ${reference.repetitions} restores of each variant.`,
    ...missingLines(report),
    table(
      ['ratio', 'value', 'gate', 'aim', '', 'of'],
      report.gates.map((gate) => [
        gate.name,
        `**${gateValue(gate)}**`,
        `${gate.sense} ${gate.gate}`,
        String(gate.aim),
        verdictOf(gate),
        gate.of,
      ]),
    ),
    ...variantTable('The reference case, warm.', of('reference', 'warm')),
    ...variantTable('The reference case, cold.', of('reference', 'cold')),
    ...variantTable('Other orders and wrong logs, warm.', of('ablation')),
    ...variantTable('Several restores at once, warm.', of('concurrency')),
    ...pointTable('over the interconnect’s latency each way', of('latency')),
    ...pointTable('over the interconnect’s bandwidth', of('bandwidth')),
    ...pointTable('over the footprint', of('footprint')),
    ...pointTable('of real programs', of('workload')),
    ...dumpTable(report),
  ];
  return `${parts.join('\n\n')}\n`;
}

function variantTable(title: string, rows: readonly Row[]): string[] {
  if (rows.length === 0) return [];
  const lines = rows.map((row) => [
    row.variant,
    String(row.ttfrMs.count),
    ms(row.ttfrMs.p5),
    ms(row.ttfrMs.p50),
    ms(row.ttfrMs.p95),
    ms(row.preparedMs?.p50),
    ms(row.criuMs?.p50),
    ms(row.allInMs?.p50),
    row.faultCount === undefined ? '' : String(row.faultCount.p50),
  ]);
  const head = ['variant', 'n', 'TTFR p5 ms', 'p50 ms', 'p95 ms', 'ready', 'criu', 'all in', 'faults'];
  return [title, table(head, lines)];
}

/** Variants across, points down. */
function pointTable(what: string, rows: readonly Row[]): string[] {
  if (rows.length === 0) return [];
  const variants = [...new Set(rows.map((row) => row.variant))];
  const points = Map.groupBy(rows, pointOf);
  const lines = [...points].map(([point, there]) => [
    point,
    ...variants.map((variant) => ms(there.find((row) => row.variant === variant)?.ttfrMs.p50)),
  ]);
  const counts = [...new Set(rows.map((row) => row.ttfrMs.count))].sort((a, b) => a - b).join(' or ');
  return [`TTFR p50 in ms ${what}, ${counts} restores each.`, table(['', ...variants], lines)];
}

function dumpTable({ dumps }: BenchReport): string[] {
  if (dumps.length === 0) return [];
  const lines = dumps.map(({ into, frozenMs }) => [
    `into ${into === 'store' ? 'our store' : 'a directory'}`,
    String(frozenMs.count),
    ms(frozenMs.p5),
    ms(frozenMs.p50),
    ms(frozenMs.p95),
  ]);
  return ['Dumps of the reference case.', table(['dump', 'n', 'frozen p5 ms', 'p50 ms', 'p95 ms'], lines)];
}

function ms(value: number | undefined): string {
  if (value === undefined) return '';
  return value < 100 ? value.toFixed(1) : value.toFixed(0);
}
