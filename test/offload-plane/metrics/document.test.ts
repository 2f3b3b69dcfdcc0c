import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { describedMetrics, metricsTables, withTables } from '../../../offload-plane/metrics/document.ts';
import { createMetrics } from '../../../offload-plane/metrics.ts';

const DOCS = join(import.meta.dirname, '../../../docs');
const { registry } = createMetrics();

test('docs/metrics.md has every metric as it is (`npm run docs` writes it)', () => {
  const written = readFileSync(join(DOCS, 'metrics.md'), 'utf8');
  assert.is(withTables(written, registry), written);
});

test('every metric has a help, and every label is explained', () => {
  for (const { name, help } of describedMetrics(registry)) assert.match(help, /^[A-Z].{10,}[^.]$/, name);
  assert.not.match(metricsTables(registry), /not explained/);
});

test("names keep to Prometheus' conventions: base units, _total for counters and for nothing else", () => {
  for (const { name, type } of describedMetrics(registry)) {
    assert.match(name, /^offload_[a-z]+(_[a-z]+)*$/);
    assert.not.match(name, /_(ms|milliseconds|us|kib|mib|percent)(_|$)/);
    assert.is(name.endsWith('_total'), type === 'counter', name);
    if (type === 'histogram') assert.match(name, /_seconds$/);
  }
});

test.run();
