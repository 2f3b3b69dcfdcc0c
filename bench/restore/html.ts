/** The restore bench's report as one page that opens from disk and loads nothing. */
import type { Statistics } from '../statistics.ts';
import type { BenchReport, Row, Timeline } from './report.ts';
import { type Bar, barChart, type Curve, curveChart, escapeText } from './svg.ts';
import { pointOf } from './text.ts';

const STYLE = `
body { font: 15px/1.45 system-ui, sans-serif; max-width: 800px; margin: 2rem auto; padding: 0 1rem; color: #1c2024; background: #fff }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2.2rem } p.note { color: #555 }
svg { width: 100%; height: auto; font: 12px system-ui, sans-serif; fill: #1c2024 }
svg .grid { stroke: #e3e6e8 } svg .whisker { stroke: #1c2024; stroke-width: 1.5 } svg .mark { stroke: #b4232a; stroke-dasharray: 4 3 }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
td, th { padding: .25rem .6rem; border-bottom: 1px solid #e3e6e8; text-align: left }
td.number { text-align: right } .met { color: #18794e } .missed { color: #b4232a; font-weight: 600 }
`;

const STOCK_COLOURS = ['#8a8f94', '#5f666c', '#b3b8bc'];
const OUR_COLOURS = ['#9ecae9', '#3a86c8', '#1d5f9e', '#12436f', '#5aa9a0', '#2f7f76'];
const FLOOR_COLOUR = '#d0a84f';

export function reportHtml(report: BenchReport): string {
  const { machine, reference } = report;
  const body = [
    '<h1>Restore bench</h1>',
    `<p class="note">${escapeText(report.createdAt)} · ${escapeText(machine.cpus)}, ${machine.cpuCount} CPUs, ${machine.memoryMiB} MiB · Linux ${escapeText(machine.kernel)} · Node ${escapeText(machine.node)} · took ${report.durationS.toFixed(0)} s</p>`,
    `<p>Reference case: a heap of ${reference.heapMiB} MiB whose first request touches ${reference.touchedPageCount} scattered pages, ${reference.repetitions} restores of each variant, in turns. TTFR runs from the restore command to a verified answer. Bars end at the median; whiskers span p5 to p95.</p>`,
    '<h2>Ratios</h2>',
    gates(report),
    ...(['warm', 'cold'] as const).flatMap((temperature) =>
      bars(
        report,
        `Reference case, ${temperature}`,
        (row) => row.section === 'reference' && row.temperature === temperature,
      ),
    ),
    ...bars(report, 'Other orders and wrong logs, warm', (row) => row.section === 'ablation'),
    ...bars(report, 'Several restores of one checkpoint at once', (row) => row.section === 'concurrency'),
    ...curves(
      report,
      'TTFR over interconnect latency',
      'latency',
      'added latency each way, µs (measured)',
      false,
      (row) => row.latencyUs,
    ),
    ...curves(report, 'TTFR over interconnect bandwidth', 'bandwidth', 'Gbit/s', true, (row) => row.gbitPerS),
    ...curves(
      report,
      'TTFR over footprint, same pages touched',
      'footprint',
      'heap, MiB',
      true,
      (row) => row.heapMiB,
    ),
    ...bars(report, 'Other workloads', (row) => row.section === 'workload'),
    ...report.timelines.flatMap(timeline),
    '<h2>All rows</h2>',
    rowTable(report),
  ];
  return `<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Restore bench</title><style>${STYLE}</style></head>\n<body>${body.join('\n')}</body></html>\n`;
}

function colourOf(variant: string, index: number): string {
  if (variant === 'floor') return FLOOR_COLOUR;
  const colours = variant.startsWith('stock') ? STOCK_COLOURS : OUR_COLOURS;
  return colours[index % colours.length]!;
}

function bars(report: BenchReport, title: string, chosen: (row: Row) => boolean): string[] {
  const rows = report.rows.filter(chosen);
  if (rows.length === 0) return [];
  const list = rows.map((row, i): Bar => {
    const label = row.section === 'workload' ? `${row.workload}, ${row.variant}` : row.variant;
    const { p5, p50, p95 } = row.ttfrMs;
    return { label, colour: colourOf(row.variant, i), low: p5, middle: p50, high: p95 };
  });
  return [`<h2>${escapeText(title)}</h2>`, barChart(title, 'TTFR, ms', list)];
}

function curves(
  report: BenchReport,
  title: string,
  section: Row['section'],
  xLabel: string,
  logX: boolean,
  xOf: (row: Row) => number | undefined,
): string[] {
  const byVariant = Map.groupBy(
    report.rows.filter((row) => row.section === section),
    (row) => row.variant,
  );
  if (byVariant.size === 0) return [];
  const list = [...byVariant].map(
    ([label, rows], i): Curve => ({
      label,
      colour: colourOf(label, i),
      points: rows.map((row) => [xOf(row)!, row.ttfrMs.p50] as const).sort(([a], [b]) => a - b),
    }),
  );
  const chart = { xLabel, yLabel: 'TTFR p50, ms', logX, logY: true, curves: list };
  return [`<h2>${escapeText(title)}</h2>`, curveChart(title, chart)];
}

/** Pages asked for, sent and in place over one restore. */
function timeline(one: Timeline): string[] {
  const title = `One restore, page by page: ${one.variant}`;
  const counted = (whats: readonly string[]): [number, number][] => {
    let sum = 0;
    return one.events
      .filter(({ what }) => whats.includes(what))
      .map(({ atMs, pageCount }): [number, number] => {
        sum += pageCount;
        return [atMs, sum];
      });
  };
  const list: Curve[] = [
    { label: 'demand faults', colour: '#b4232a', points: counted(['fault']), stepped: true },
    { label: 'pushed by the plane', colour: '#3a86c8', points: counted(['push']), stepped: true },
    { label: 'for CRIU to install', colour: '#5aa9a0', points: counted(['file']), stepped: true },
    { label: 'filled by the plane', colour: '#9ecae9', points: counted(['fill']), stepped: true },
    {
      label: 'in place in the process',
      colour: '#1c2024',
      points: one.resident.map(({ atMs, pageCount }) => [atMs, pageCount] as const),
      stepped: true,
    },
  ].filter((curve) => curve.points.length > 0);
  const chart = {
    xLabel: 'ms since the restore command',
    yLabel: 'pages',
    logY: true,
    curves: list,
    mark: { x: one.ttfrMs, label: 'first response' },
  };
  return [`<h2>${escapeText(title)}</h2>`, curveChart(title, chart)];
}

function gates(report: BenchReport): string {
  const lines = report.gates.map((gate) => {
    const value = gate.value === undefined ? 'not measured' : gate.value.toFixed(2);
    const verdict = gate.met ? '<td class="met">met</td>' : '<td class="missed">missed</td>';
    return `<tr><td>${escapeText(gate.name)}</td><td class="number">${value}</td><td>${gate.sense} ${gate.gate}</td><td class="number">${gate.aim}</td>${verdict}</tr>`;
  });
  return `<table><tr><th>ratio of medians</th><th>value</th><th>gate</th><th>aim</th><th></th></tr>${lines.join('')}</table>`;
}

function rowTable(report: BenchReport): string {
  const cell = (statistics: Statistics | undefined, digits = 1) =>
    `<td class="number">${statistics === undefined ? '' : statistics.p50.toFixed(digits)}</td>`;
  const lines = report.rows.map(
    (row) =>
      `<tr><td>${row.section}</td><td>${escapeText(row.variant)}</td><td>${escapeText(pointOf(row))}</td><td class="number">${row.ttfrMs.count}</td><td class="number">${row.ttfrMs.p5.toFixed(1)}</td>${cell(row.ttfrMs)}<td class="number">${row.ttfrMs.p95.toFixed(1)}</td>${cell(row.allInMs)}${cell(row.faultCount, 0)}</tr>`,
  );
  const dumps = report.dumps.map(
    (row) =>
      `<tr><td>dump</td><td>into ${row.into}</td><td>frozen</td><td class="number">${row.frozenMs.count}</td><td class="number">${row.frozenMs.p5.toFixed(1)}</td>${cell(row.frozenMs)}<td class="number">${row.frozenMs.p95.toFixed(1)}</td><td></td><td></td></tr>`,
  );
  return `<table><tr><th>section</th><th>variant</th><th>point</th><th>n</th><th>p5 ms</th><th>p50 ms</th><th>p95 ms</th><th>all in ms</th><th>faults</th></tr>${lines.join('')}${dumps.join('')}</table>`;
}
