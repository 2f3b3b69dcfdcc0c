/** Which bench a report is of, and its tables. */
import type { BenchName } from './document.ts';
import { guestCostMarkdown } from './guest-cost/markdown.ts';
import type { GuestCostReport } from './guest-cost/report.ts';
import { loadMarkdown } from './load/markdown.ts';
import type { LoadReport } from './load/report.ts';
import { reportMarkdown } from './restore/markdown.ts';
import type { BenchReport } from './restore/report.ts';

/** The restore bench's report says no kind. */
export function tablesOf(report: BenchReport | GuestCostReport | LoadReport): {
  bench: BenchName;
  markdown: string;
} {
  if (!('kind' in report)) return { bench: 'restore', markdown: reportMarkdown(report) };
  if (report.kind === 'load') return { bench: 'load', markdown: loadMarkdown(report) };
  return { bench: 'guest cost', markdown: guestCostMarkdown(report) };
}
