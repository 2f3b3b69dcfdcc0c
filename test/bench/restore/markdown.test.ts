import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { reportMarkdown } from '../../../bench/restore/markdown.ts';
import { row, sampleReport } from './sample-report.ts';

test('ratios come with the figures they are made of', async () => {
  const markdown = reportMarkdown(await sampleReport([]));
  assert.match(markdown, '| a ratio | **2.00** | at least 3 | 4 | MISSED | this 4 ms ÷ that 2 ms |');
});

test('what was cut or skipped is said', async () => {
  const markdown = reportMarkdown(await sampleReport([]));
  assert.match(markdown, 'Cut for want of time, reference: reference case: 1 of 2 rounds.');
  assert.match(markdown, 'Skipped, programs: redis: it is not there.');
});

test('a curve has its points below each other and its variants side by side', async () => {
  const rows = [
    await row('stock lazy', 200, { section: 'footprint', heapMiB: 64 }),
    await row('our lazy', 100, { section: 'footprint', heapMiB: 64 }),
    await row('our lazy', 50.04, { section: 'footprint', heapMiB: 256 }),
  ];
  const markdown = reportMarkdown(await sampleReport(rows));
  assert.match(markdown, '|  | stock lazy | our lazy |');
  assert.match(markdown, '| 64 MiB | 200 | 100 |\n| 256 MiB |  | 50.0 |');
});

test.run();
