/** The whole restore bench in its small form: real CRIU, a real plane, shapers, every section. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { SECTIONS } from '../../../bench/restore/plan.ts';
import { REAL_PROGRAMS } from '../../../bench/restore/real-programs.ts';
import type { BenchReport } from '../../../bench/restore/report.ts';
import { runRestoreBench } from '../../../bench/restore/run.ts';
import { criuMissing } from '../../../testbed/native/criu-world.ts';
import { tempDirectory } from '../../helpers/temp-directory.ts';

const TITLE = 'the small form measures every ratio and writes both reports';

async function small(): Promise<void> {
  const directory = tempDirectory('bench-small');
  const [jsonPath, htmlPath] = [join(directory, 'report.json'), join(directory, 'report.html')];
  await runRestoreBench({ small: true, jsonPath, htmlPath, deviceDirectory: directory });
  const report = JSON.parse(readFileSync(jsonPath, 'utf8')) as BenchReport;
  assert.equal(
    report.gates.filter(({ value }) => value === undefined).map(({ name }) => name),
    [],
  );
  assert.equal(
    report.sections.map(({ name, cuts }) => [name, cuts]),
    ['reference', ...SECTIONS].map((name) => [name, []]),
  );
  for (const program of Object.keys(REAL_PROGRAMS)) {
    const isMeasured = report.rows.some((row) => row.workload.startsWith(`${program}-`));
    const isSkipped = report.skipped.some(({ what }) => what === program);
    assert.ok(isMeasured !== isSkipped, program);
  }
  const faultsOf = (variant: string) =>
    report.rows.find((row) => row.section === 'reference' && row.variant === variant)!.faultCount!.p50;
  assert.ok(faultsOf('our lazy') >= report.reference.touchedPageCount);
  assert.ok(faultsOf('our prefill') * 10 <= faultsOf('our lazy'));
  assert.match(readFileSync(htmlPath, 'utf8'), '<svg');
}

if (criuMissing === '') test(TITLE, small);
else console.log(`skipped: ${TITLE}: ${criuMissing}`);

test.run();
