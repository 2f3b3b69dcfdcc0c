import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { reportHtml } from '../../../bench/restore/html.ts';
import { ticksUpTo } from '../../../bench/restore/svg.ts';
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

test('names from the machine are escaped', async () => {
  const page = reportHtml(await sampleReport([]));
  assert.match(page, 'a &lt;processor&gt;');
});

test('ticks go in round steps beyond the highest value', () => {
  assert.equal(ticksUpTo(9), [0, 2, 4, 6, 8, 10]);
  assert.equal(ticksUpTo(0.4), [0, 0.1, 0.2, 0.3, 0.4]);
});

test.run();
