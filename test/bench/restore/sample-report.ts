/** A report of made-up rows, for what is computed from rows alone. */
import type { BenchReport, Row } from '../../../bench/restore/report.ts';
import { statisticsOf } from '../../../bench/statistics.ts';

export async function row(variant: string, ttfrMs: number, more: Partial<Row> = {}): Promise<Row> {
  return {
    section: 'reference',
    workload: 'heap',
    variant,
    temperature: 'warm',
    ttfrMs: await statisticsOf([ttfrMs]),
    ...more,
  };
}

export const PARTS = { dumps: [], footprintGateMiB: [32, 8] as const, concurrency: 8 };

export async function sampleReport(rows: Row[]): Promise<BenchReport> {
  return {
    createdAt: '2026-01-01T00:00:00.000Z',
    durationS: 1,
    machine: { cpus: 'a <processor>', cpuCount: 2, memoryMiB: 1_024, kernel: '6.12', node: 'v24' },
    reference: { heapMiB: 16, touchedPageCount: 300, repetitions: 1 },
    sections: [{ name: 'reference', budgetS: 60, tookS: 70, cuts: ['reference case: 1 of 2 rounds'] }],
    skipped: [{ section: 'programs', what: 'redis', reason: 'it is not there' }],
    gates: [
      {
        name: 'a ratio',
        of: 'this 4 ms ÷ that 2 ms',
        value: 2,
        gate: 3,
        aim: 4,
        sense: 'at least',
        met: false,
      },
    ],
    rows,
    dumps: [{ into: 'store', workload: 'heap', frozenMs: await statisticsOf([5]) }],
    timelines: [
      {
        variant: 'our ordered',
        workload: 'heap',
        ttfrMs: 20,
        allInMs: 90,
        events: [
          { atMs: 5, what: 'push', pageCount: 64 },
          { atMs: 12, what: 'fault', pageCount: 1 },
        ],
        resident: [{ atMs: 10, pageCount: 64 }],
      },
    ],
  };
}
