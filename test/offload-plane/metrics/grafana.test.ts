import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createMetrics } from '../../../offload-plane/metrics.ts';

interface Panel {
  id: number;
  type: string;
  title: string;
  datasource?: { type: string; uid: string };
  gridPos: { x: number; y: number; w: number; h: number };
  targets?: { expr: string; datasource: { uid: string } }[];
}

const dashboard = JSON.parse(
  readFileSync(join(import.meta.dirname, '../../../docs/grafana/offload-plane.json'), 'utf8'),
) as {
  id: null;
  uid: string;
  title: string;
  schemaVersion: number;
  templating: { list: { name: string; type: string; query: string }[] };
  panels: Panel[];
};
const { registry } = createMetrics();
const expressions = dashboard.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));

/** Every series that Prometheus would have: a histogram is three. */
async function seriesNames(): Promise<Set<string>> {
  const metrics = await registry.getMetricsAsJSON();
  return new Set(
    metrics.flatMap(({ name, type }) =>
      String(type) === 'histogram' ? ['_bucket', '_sum', '_count'].map((end) => name + end) : [name],
    ),
  );
}

test('every metric the dashboard names is one of the plane’s', async () => {
  const known = await seriesNames();
  const named = new Set(
    expressions.flatMap((expr) => expr.match(/\b(?:offload|nodejs|process)_[a-z0-9_]+/g) ?? []),
  );
  assert.ok(named.size > 20);
  assert.equal(
    [...named].filter((name) => !known.has(name)),
    [],
  );
});

test('every metric of the plane but its process’s own is on the dashboard', async () => {
  const text = expressions.join('\n');
  const missing = (await registry.getMetricsAsJSON())
    .map(({ name }) => name)
    .filter((name) => name.startsWith('offload_') && !new RegExp(`\\b${name}(_|\\b)`).test(text));
  assert.equal(missing, []);
});

test('labels in the expressions are labels of the metrics', () => {
  const metrics = registry.getMetricsAsArray() as unknown as { name: string; labelNames: string[] }[];
  for (const expr of expressions) {
    const metric = metrics.find(({ name }) => expr.includes(name));
    const used = [...expr.matchAll(/by \(([^)]*)\)/g), ...expr.matchAll(/\{([a-z]+)[!=]/g)]
      .flatMap(([, labels]) => labels!.split(', '))
      .filter((label) => label !== 'le');
    for (const label of used) assert.ok(metric?.labelNames.includes(label), `${label} in ${expr}`);
  }
});

test('Grafana can import it: an uid, a datasource to choose, panels that have ids and do not overlap', () => {
  assert.is(dashboard.id, null);
  assert.match(dashboard.uid, /^[a-z0-9-]{1,40}$/);
  assert.ok(dashboard.schemaVersion >= 36);
  assert.equal(
    dashboard.templating.list.map(({ name, type, query }) => [name, type, query]),
    [['datasource', 'datasource', 'prometheus']],
  );
  const cells = new Set<string>();
  for (const { id, type, title, gridPos, datasource, targets = [] } of dashboard.panels) {
    assert.ok(Number.isInteger(id) && title !== '' && ['row', 'stat', 'timeseries'].includes(type));
    assert.ok(gridPos.x + gridPos.w <= 24, title);
    for (let x = gridPos.x; x < gridPos.x + gridPos.w; x += 1) {
      for (let y = gridPos.y; y < gridPos.y + gridPos.h; y += 1) {
        assert.not.ok(cells.has(`${x},${y}`), `${title} overlaps`);
        cells.add(`${x},${y}`);
      }
    }
    if (type === 'row') continue;
    assert.is(datasource?.uid, `\${datasource}`);
    assert.ok(targets.length > 0 && targets.every((target) => target.datasource.uid === datasource?.uid));
  }
  assert.is(new Set(dashboard.panels.map(({ id }) => id)).size, dashboard.panels.length);
});

test.run();
