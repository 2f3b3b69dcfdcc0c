/** The whole guest-cost bench in its small form: a real guest, containerd, crun by hand, an echo. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { GuestCostReport } from '../../bench/guest-cost/report.ts';
import { runGuestCost } from '../../bench/guest-cost/run.ts';
import { tempDirectory } from '../helpers/temp-directory.ts';

test('the small form measures both sides, every start and every round trip, and judges every aim', async () => {
  const jsonPath = join(tempDirectory('guest-cost'), 'report.json');
  await runGuestCost({ small: true, jsonPath, say: () => {} });
  const report = JSON.parse(readFileSync(jsonPath, 'utf8')) as GuestCostReport;
  assert.equal(report.memory.map(({ side, program }) => `${side} ${program}`).sort(), [
    'containerd containerd',
    'containerd containerd-shim-runc-v2',
    'node node',
    'ours conmon',
    'ours node',
  ]);
  for (const process of report.memory) {
    assert.ok(process.anonymousBytes > 0 && process.anonymousBytes <= process.residentBytes, process.program);
    assert.ok(process.proportionalBytes <= process.residentBytes, process.program);
  }
  for (const times of [report.startMs, report.callMs]) {
    for (const [name, { count, p50 }] of Object.entries(times)) assert.ok(count > 1 && p50 > 0, name);
  }
  // The quickest of each: a machine that is busy makes some of either slow.
  assert.ok(report.callMs.inspect.p5 > report.callMs.echo.p5);
  assert.is(report.aims.length, 5);
  for (const { name, value } of report.aims) assert.ok(Number.isFinite(value), name);
});

test.run();
