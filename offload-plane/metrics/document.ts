/** docs/metrics.md, as far as it is made from the metrics themselves. */
import type { Registry } from 'prom-client';
import { betweenMarkers } from '../../platform/markdown.ts';

const BEGIN = '<!-- metrics: made by `npm run docs` -->';
const END = '<!-- metrics: end -->';

/** What each label may be, so that nobody has to guess how many series there are. */
const LABELS: Record<string, string> = {
  call: 'a call of the agent, of which there are few; see [api.md](api.md)',
  cause: '`demand`, `push`, `fill`, `file`',
  guest: 'the name of a registered guest',
  kind: 'of the operation: `checkpoint`, `restore`, …',
  method: 'of the request',
  outcome:
    'calls: `ok`, `error`; exits: `success`, `failure`, `signal`, `unknown`; page sessions: `done`, `failed`, `closed`; operations: `succeeded`, `failed`, `cancelled`',
  phase: 'of a guest or a container; those in which nothing is are 0',
  policy: '`eager`, `lazy`, `ordered`, `prefill`',
  reason: '`foreign`, `corrupt`, `unknown_version`',
  route: 'the route as it is declared, never what was asked for',
  status: 'of the answer',
};

interface Described {
  name: string;
  help: string;
  type: string;
  labelNames: string[];
}

/** Ours, by name. */
export function describedMetrics(registry: Registry): Described[] {
  return (registry.getMetricsAsArray() as unknown as Described[])
    .filter(({ name }) => name.startsWith('offload_'))
    .map((metric) => ({ ...metric, type: metric.constructor.name.toLowerCase() }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

export function metricsTables(registry: Registry): string {
  const metrics = describedMetrics(registry);
  const rows = metrics.map(
    ({ name, type, labelNames, help }) =>
      `| \`${name}\` | ${type} | ${labelNames.map((label) => `\`${label}\``).join(', ')} | ${help}. |`,
  );
  const used = [...new Set(metrics.flatMap(({ labelNames }) => labelNames))].sort();
  const labels = used.map((label) => `| \`${label}\` | ${LABELS[label] ?? 'not explained'} |`);
  return [
    ...['| metric | type | labels | what |', '|---|---|---|---|', ...rows, ''],
    ...['| label | what it may be |', '|---|---|', ...labels],
  ].join('\n');
}

/** The document with its tables put in anew. */
export function withTables(document: string, registry: Registry): string {
  return betweenMarkers(document, [BEGIN, END], metricsTables(registry));
}
