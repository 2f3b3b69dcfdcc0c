/** The restore bench's report as one page that opens from disk and loads nothing. */
import type { Statistics } from '../statistics.ts';
import type { BenchReport, Row, Timeline } from './report.ts';
import { type Bar, barChart, type Curve, curveChart, escapeText } from './svg.ts';
import { gateValue, missingLines, pointOf } from './text.ts';

const STYLE = `
:root { color-scheme: light dark; --text: #1c2024; --faint: #5c6369; --line: #dfe3e6; --ground: #fff; --good: #18794e; --bad: #b4232a }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6e8ea; --faint: #a3a9ae; --line: #33393e; --ground: #15181b; --good: #4cc38a; --bad: #ff8589 }
}
body { font: 15px/1.45 system-ui, sans-serif; max-width: 860px; margin: 2rem auto; padding: 0 1rem; color: var(--text); background: var(--ground) }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2.2rem } .note { color: var(--faint) }
svg { width: 100%; height: auto; font: 12px system-ui, sans-serif; fill: var(--text); color: var(--text) }
svg .grid { stroke: var(--line) } svg .whisker { stroke: var(--text); stroke-width: 1.5 } svg .mark { stroke: var(--bad); stroke-dasharray: 4 3 }
.wide { overflow-x: auto }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
td, th { padding: .25rem .6rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top }
td.number { text-align: right } td small { color: var(--faint) } .met { color: var(--good) } .missed { color: var(--bad); font-weight: 600 }
`;

/** A variant has the same colour in every picture, light and dark ground alike. */
const COLOURS: Readonly<Record<string, string>> = {
  'stock eager': '#8a8f94',
  'stock lazy': '#a07d64',
  'stock lazy, our server': '#6f7f92',
  'our eager': '#8e7cc3',
  'our lazy': '#3fa796',
  'our ordered': '#3a86c8',
  'our prefill': '#6ba353',
  'our lazy, recording': '#c2679a',
  floor: '#d0a84f',
};
const OTHER_COLOUR = '#5fb0d9';
/** Where on the axis of bandwidths the line without a limit stands, Gbit/s. */
const UNSHAPED_AT = 100;

export function reportHtml(report: BenchReport): string {
  const { machine, reference } = report;
  const body = [
    '<h1>Restore bench</h1>',
    `<p class="note">${escapeText(report.createdAt)} · ${escapeText(machine.cpus)}, ${machine.cpuCount} CPUs, ${machine.memoryMiB} MiB · Linux ${escapeText(machine.kernel)} · Node ${escapeText(machine.node)} · took ${report.durationS.toFixed(0)} s</p>`,
    `<p>Reference case: a heap of ${reference.heapMiB} MiB whose first request touches ${reference.touchedPageCount} scattered pages, ${reference.repetitions} restores of each variant, in turns. TTFR runs from the restore command to a verified answer. Bars end at the median; whiskers span p5 to p95. How often each was restored is in the last table (n).</p>`,
    ...missingLines(report).map((line) => `<p class="missed">${escapeText(line)}</p>`),
    '<h2>Ratios</h2>',
    '<p class="note">Ratios of medians unless they say p95. Ours best is ordered or prefill, whichever has the lower median: one of them for the whole ratio, named with its figures.</p>',
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
    ...curves(
      report,
      'TTFR over interconnect bandwidth',
      'bandwidth',
      'Gbit/s',
      true,
      (row) => row.gbitPerS || UNSHAPED_AT,
      { [UNSHAPED_AT]: 'unshaped' },
    ),
    ...curves(
      report,
      'TTFR over footprint, same pages touched',
      'footprint',
      'heap, MiB',
      true,
      (row) => row.heapMiB,
    ),
    ...(['warm', 'cold'] as const).flatMap((temperature) =>
      bars(
        report,
        `Real programs, ${temperature}`,
        (row) => row.section === 'workload' && row.temperature === temperature,
      ),
    ),
    ...report.timelines.flatMap(timeline),
    '<h2>Dumps</h2>',
    dumpBars(report),
    '<h2>Sections</h2>',
    sectionList(report),
    '<h2>All rows</h2>',
    `<div class="wide">${rowTable(report)}</div>`,
  ];
  return `<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Restore bench</title><style>${STYLE}</style></head>\n<body>${body.join('\n')}</body></html>\n`;
}

const colourOf = (variant: string) => COLOURS[variant] ?? OTHER_COLOUR;

function bars(report: BenchReport, title: string, chosen: (row: Row) => boolean): string[] {
  const rows = report.rows.filter(chosen);
  if (rows.length === 0) return [];
  const list = rows.map((row): Bar => {
    const label = row.section === 'workload' ? `${row.workload}, ${row.variant}` : row.variant;
    const { p5, p50, p95 } = row.ttfrMs;
    return { label, colour: colourOf(row.variant), low: p5, middle: p50, high: p95 };
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
  xNames: Readonly<Record<number, string>> = {},
): string[] {
  const byVariant = Map.groupBy(
    report.rows.filter((row) => row.section === section),
    (row) => row.variant,
  );
  if (byVariant.size === 0) return [];
  const list = [...byVariant].map(
    ([label, rows]): Curve => ({
      label,
      colour: colourOf(label),
      points: rows.map((row) => [xOf(row)!, row.ttfrMs.p50] as const).sort(([a], [b]) => a - b),
    }),
  );
  const chart = { xLabel, yLabel: 'TTFR p50, ms', logX, logY: true, xNames, curves: list };
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
    { label: 'demand faults', colour: '#d9534f', points: counted(['fault']), stepped: true },
    { label: 'pushed by the plane', colour: '#3a86c8', points: counted(['push']), stepped: true },
    { label: 'for CRIU to install', colour: '#5aa9a0', points: counted(['file']), stepped: true },
    { label: 'filled by the plane', colour: '#d0a84f', points: counted(['fill']), stepped: true },
    {
      label: 'in place in the process',
      colour: 'currentColor',
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
    const verdict = gate.met ? '<td class="met">met</td>' : '<td class="missed">missed</td>';
    return `<tr><td>${escapeText(gate.name)}<br><small>${escapeText(gate.of)}</small></td><td class="number">${gateValue(gate)}</td><td>${gate.sense} ${gate.gate}</td><td class="number">${gate.aim}</td>${verdict}</tr>`;
  });
  return `<table><tr><th>ratio</th><th>value</th><th>gate</th><th>aim</th><th></th></tr>${lines.join('')}</table>`;
}

function dumpBars({ dumps }: BenchReport): string {
  const list = dumps.map(({ into, frozenMs: { p5, p50, p95 } }): Bar => {
    const colour = colourOf(into === 'store' ? 'our ordered' : 'stock eager');
    return {
      label: into === 'store' ? 'into our store' : 'into a directory',
      colour,
      low: p5,
      middle: p50,
      high: p95,
    };
  });
  return list.length === 0 ? '' : barChart('Dumps', 'time frozen, ms', list);
}

function sectionList({ sections }: BenchReport): string {
  const lines = sections.map(
    ({ name, tookS, budgetS, cuts }) =>
      `<tr><td>${name}</td><td class="number">${tookS.toFixed(0)}</td><td class="number">${budgetS}</td><td>${cuts.length === 0 ? 'whole' : escapeText(`cut: ${cuts.join('; ')}`)}</td></tr>`,
  );
  return `<table><tr><th>section</th><th>took s</th><th>budget s</th><th></th></tr>${lines.join('')}</table>`;
}

function rowTable(report: BenchReport): string {
  const cell = (statistics: Statistics | undefined, digits = 1) =>
    `<td class="number">${statistics === undefined ? '' : statistics.p50.toFixed(digits)}</td>`;
  const lines = report.rows.map(
    (row) =>
      `<tr><td>${row.section}</td><td>${escapeText(row.variant)}</td><td>${escapeText(pointOf(row))}</td><td class="number">${row.ttfrMs.count}</td><td class="number">${row.ttfrMs.p5.toFixed(1)}</td>${cell(row.ttfrMs)}<td class="number">${row.ttfrMs.p95.toFixed(1)}</td>${cell(row.preparedMs)}${cell(row.criuMs)}${cell(row.allInMs)}${cell(row.faultCount, 0)}</tr>`,
  );
  const dumps = report.dumps.map(
    (row) =>
      `<tr><td>dump</td><td>into ${row.into}</td><td>frozen</td><td class="number">${row.frozenMs.count}</td><td class="number">${row.frozenMs.p5.toFixed(1)}</td>${cell(row.frozenMs)}<td class="number">${row.frozenMs.p95.toFixed(1)}</td><td></td><td></td><td></td><td></td></tr>`,
  );
  return `<table><tr><th>section</th><th>variant</th><th>point</th><th>n</th><th>p5 ms</th><th>p50 ms</th><th>p95 ms</th><th>ready ms</th><th>criu ms</th><th>all in ms</th><th>faults</th></tr>${lines.join('')}${dumps.join('')}</table>`;
}
