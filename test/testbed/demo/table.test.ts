import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Policy } from '../../../offload-plane/page-server/contract.ts';
import { containerTable, explanation, median } from '../../../testbed/demo/table.ts';
import type { ContainerReport, DemoReport, RestoreReport } from '../../../testbed/scenarios/report.ts';
import { POLICIES } from '../../../testbed/scenarios/warm-restore.ts';

const restore = (policy: Policy, ttfrMs: number, more: Partial<RestoreReport> = {}): RestoreReport => ({
  ...{ policy, ttfrMs, faultCount: 10, pushedPageCount: 0, pageCountAtResponse: 50, totalPageCount: 900 },
  ...{ allInMs: 2_000, verified: true, memoryVerified: true, changedPageCount: 3, ...more },
});

const container = (restores: RestoreReport[]): ContainerReport => ({
  name: 'redis',
  image: 'redis',
  checkpoint: { pageCount: 1_000, zeroPageCount: 100, bytes: 7 * 1024 * 1024, frozenMs: 1_500 },
  recording: restore('lazy', 9_999),
  restores,
  heldRestores: [{ policy: 'lazy', pageCount: 1_000, equalPageCount: 999 }],
});

const oneOfEach = () => [
  restore('eager', 400),
  restore('lazy', 200.4, { faultCount: 320 }),
  restore('ordered', 100),
  restore('prefill', 150),
];

/** The rows of the policies, by policy. */
function rowsOf(report: ContainerReport): Map<string, string> {
  return new Map(containerTable(report).map((line) => [line.trim().split(/\s+/)[0] ?? '', line]));
}

test('the median of an even count lies between the middle two, and the order given does not matter', () => {
  assert.is(median([3, 1, 2]), 2);
  assert.is(median([10, 9, 1, 2]), 5.5);
  assert.is(median([4]), 4);
});

test('the head of a table tells what was checkpointed and for how long it stood still', () => {
  assert.is(
    containerTable(container(oneOfEach()))[0],
    'redis: checkpoint of 1000 pages (100 of them zero), 7 MiB stored, container stood still for 1.5 s',
  );
});

test('there is a row for each policy, every column aligned, with the median and the range of its times', () => {
  const report = container([...oneOfEach(), restore('lazy', 300), restore('lazy', 180)]);
  const lines = containerTable(report);
  assert.equal(
    lines.slice(2, 2 + POLICIES.length).map((line) => line.trim().split(' ')[0]),
    [...POLICIES],
  );
  assert.is(new Set(lines.slice(1, 2 + POLICIES.length).map((line) => line.length)).size, 1);
  assert.match(rowsOf(report).get('lazy')!, /^ {2}lazy +200 \(180-300\) +10 /);
});

test('the recording restore is not among the figures', () => {
  assert.not.match(containerTable(container(oneOfEach())).join('\n'), /9999/);
});

test('one wrong body or one wrong memory among many shows in its policy’s row and in no other', () => {
  const report = container([
    ...oneOfEach(),
    restore('lazy', 200, { verified: false }),
    restore('ordered', 100, { memoryVerified: false }),
  ]);
  const rows = rowsOf(report);
  assert.match(rows.get('lazy')!, /NO +yes$/);
  assert.match(rows.get('ordered')!, /yes +NO$/);
  assert.match(rows.get('eager')!, /yes +yes$/);
});

test('held restores show how many pages were equal, all or not', () => {
  assert.is(
    containerTable(container(oneOfEach())).at(-1),
    '  held before its first instruction: lazy 999 of 1000 pages equal',
  );
});

test('the explanation names the fastest and how much longer the others took, whoever wins', () => {
  const report = { containers: [container(oneOfEach())] } as DemoReport;
  const [first, second] = explanation(report);
  assert.is(
    first,
    'redis: ordered answered first, in 100 ms; prefill took 1.5 times as long, lazy took 2.0 times as long, eager took 4.0 times as long.',
  );
  assert.match(second!, /Demand faults: .*lazy 320/);
  const reversed = container([...oneOfEach(), restore('eager', 20), restore('eager', 20)]);
  assert.match(
    explanation({ containers: [reversed] } as DemoReport)[0]!,
    /^redis: eager answered first, in 20 ms; /,
  );
});

test('a report that was written as JSON and read again gives the same table', () => {
  const report = container(oneOfEach());
  assert.equal(containerTable(JSON.parse(JSON.stringify(report)) as ContainerReport), containerTable(report));
});

test.run();
