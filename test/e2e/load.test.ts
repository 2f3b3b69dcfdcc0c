/** The whole load bench in its small form: no error, and the figures are there. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { LoadReport } from '../../bench/load/report.ts';
import { runLoad } from '../../bench/load/run.ts';
import { tempDirectory } from '../helpers/temp-directory.ts';

const MIB = 1024 * 1024;
/** In seconds, what a leak of a few kilobytes a request would not stay below. */
const GROWTH_MAX_BYTES = 64 * MIB;

test('several clients and a mix of requests meet no error, and memory of plane and agent stays', async () => {
  const jsonPath = join(tempDirectory('load'), 'report.json');
  await runLoad({ small: true, jsonPath, say: () => {} });
  const report = JSON.parse(readFileSync(jsonPath, 'utf8')) as LoadReport;
  assert.equal([report.errorCount, report.refusals], [0, []]);
  assert.is(report.refusedCount, 0);
  // However long each of them takes, every client has asked and been answered more than once.
  assert.ok(report.requestCount > report.clientCount, `${report.requestCount} requests`);
  assert.ok(report.latencyMs.p99 >= report.latencyMs.p50 && report.latencyMs.p50 > 0);
  assert.ok(report.eventCount >= report.containerCount * 2, `${report.eventCount} events`);
  for (const { name, beforeBytes, afterBytes } of report.trends) {
    assert.ok(beforeBytes > MIB, name);
    assert.ok(afterBytes - beforeBytes < GROWTH_MAX_BYTES, `${name}: ${afterBytes - beforeBytes} bytes more`);
  }
});

test.run();
