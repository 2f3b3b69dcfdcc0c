import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { reportHtml } from '../../../bench/restore/html.ts';
import { logTicks, ticksUpTo } from '../../../bench/restore/svg.ts';
import { row, sampleReport } from './sample-report.ts';

test('the page loads nothing from anywhere and runs no script', async () => {
  const page = reportHtml(await sampleReport([await row('stock eager', 300), await row('our lazy', 100)]));
  assert.not.match(page, /https?:|src=|<link|<script|@import|url\(/);
});

test('every section that was measured has its picture, and the others none', async () => {
  const latency = { section: 'latency', latencyUs: 10 } as const;
  const page = reportHtml(
    await sampleReport([await row('our lazy', 100), await row('our lazy', 120, latency)]),
  );
  assert.match(page, 'aria-label="Reference case, warm"');
  assert.match(page, 'aria-label="TTFR over interconnect latency"');
  assert.match(page, 'aria-label="One restore, page by page: our ordered"');
  assert.not.match(page, 'aria-label="TTFR over footprint');
  assert.not.match(page, 'NaN');
});

test('a lost ratio is on the page as well', async () => {
  assert.match(reportHtml(await sampleReport([])), 'class="missed">missed');
});

test('what was cut for want of time or skipped is on the page', async () => {
  const page = reportHtml(await sampleReport([]));
  assert.match(page, 'Cut for want of time, reference: reference case: 1 of 2 rounds.');
  assert.match(page, 'Skipped, programs: redis: it is not there.');
});

test('a line without a limit stands beyond the fastest one', async () => {
  const at = (gbitPerS: number) => ({ section: 'bandwidth' as const, latencyUs: 10, gbitPerS });
  const page = reportHtml(
    await sampleReport([await row('our lazy', 100, at(1)), await row('our lazy', 50, at(0))]),
  );
  assert.match(page, '>unshaped</text>');
});

test('names from the machine are escaped', async () => {
  const page = reportHtml(await sampleReport([]));
  assert.match(page, 'a &lt;processor&gt;');
});

test('ticks go in round steps beyond the highest value', () => {
  assert.equal(ticksUpTo(9), [0, 2, 4, 6, 8, 10]);
  assert.equal(ticksUpTo(0.4), [0, 0.1, 0.2, 0.3, 0.4]);
});

test('ticks of a logarithmic axis reach around the values', () => {
  assert.equal(logTicks(64, 2_048), [50, 100, 200, 500, 1_000, 2_000, 5_000]);
  assert.equal(logTicks(1, 90_000), [1, 10, 100, 1_000, 10_000, 100_000]);
  assert.equal(logTicks(10, 10), [10, 100]);
});

test.run();
