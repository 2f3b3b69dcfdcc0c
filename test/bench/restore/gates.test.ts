import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { gatesOf, latencySlope } from '../../../bench/restore/gates.ts';
import type { Gate } from '../../../bench/restore/report.ts';
import { statisticsOf } from '../../../bench/statistics.ts';
import { PARTS, row } from './sample-report.ts';

const named = (gates: Gate[], name: string) => gates.find((gate) => gate.name === name)!;

test('the better of ordered and prefill is set against the peers, and named', async () => {
  const rows = [
    await row('stock eager', 300),
    await row('our lazy', 50),
    await row('our prefill', 150),
    await row('our ordered', 100),
  ];
  const gate = named(gatesOf({ rows, ...PARTS }), 'stock eager ÷ ours best, warm');
  assert.is(gate.value, 3);
  assert.ok(gate.met);
  assert.is(gate.of, 'stock eager 300 ms ÷ our ordered 100 ms');
});

test('one policy stands for all figures of a ratio', async () => {
  const section = 'footprint' as const;
  const rows = [
    await row('our ordered', 100, { section, heapMiB: 32 }),
    await row('our prefill', 110, { section, heapMiB: 32 }),
    await row('our ordered', 80, { section, heapMiB: 8 }),
    await row('our prefill', 200, { section, heapMiB: 8 }),
  ];
  const gate = named(gatesOf({ rows, ...PARTS }), 'ours best at 32 MiB ÷ at 8 MiB');
  assert.is(gate.of, 'our ordered 100 ms ÷ our ordered 80 ms');
});

test('a line that does not rise counts as one round trip', async () => {
  const at = (latencyUs: number) => ({ section: 'latency' as const, latencyUs });
  const rows = [
    await row('our ordered', 100),
    await row('our ordered', 100, at(0)),
    await row('our ordered', 99, at(200)),
    await row('stock lazy, our server', 100, at(0)),
    await row('stock lazy, our server', 2_100, at(200)),
  ];
  const gate = named(
    gatesOf({ rows, ...PARTS }),
    'TTFR per µs of interconnect latency, stock lazy ÷ ours best',
  );
  assert.is(gate.value, 10 / 0.002);
});

test('what was not measured is not met', async () => {
  const gates = gatesOf({ rows: [await row('our lazy', 1)], ...PARTS });
  const gate = named(gates, 'our lazy ÷ stock lazy');
  assert.is(gate.value, undefined);
  assert.not.ok(gate.met);
});

test('a wrong log is judged by the worst of them', async () => {
  const section = 'ablation' as const;
  const rows = [
    await row('our lazy', 100),
    await row('ordered, stale', 90, { section }),
    await row('ordered, foreign', 130, { section }),
  ];
  const gate = named(gatesOf({ rows, ...PARTS }), 'worst of stale, reversed and foreign log ÷ our lazy');
  assert.is(gate.value, 1.3);
  assert.not.ok(gate.met);
});

test('dumps are judged by the time the process stood still', async () => {
  const dumps = [
    { into: 'store' as const, workload: 'heap', frozenMs: await statisticsOf([24]) },
    { into: 'directory' as const, workload: 'heap', frozenMs: await statisticsOf([20]) },
  ];
  const gates = gatesOf({ rows: [], ...PARTS, dumps });
  assert.is(named(gates, 'time frozen, dump into our store ÷ into a directory').value, 1.2);
});

test('the slope is that of the line through the medians', async () => {
  const section = 'latency' as const;
  const rows = await Promise.all(
    [0, 50, 200].map((latencyUs) => row('x', 30 + 6 * latencyUs, { section, latencyUs })),
  );
  assert.is(latencySlope(rows, 'x')!.toFixed(9), '6.000000000');
  assert.is(latencySlope(rows.slice(0, 1), 'x'), undefined);
});

test.run();
