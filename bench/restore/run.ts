/** `offload bench restore`: runs every section, judges, and writes the report. */
import { writeFileSync } from 'node:fs';
import { arch, cpus, release, totalmem } from 'node:os';
import { OffloadError } from '../../platform/errors.ts';
import { MIB } from '../../platform/units.ts';
import { criuMissing } from '../../testbed/native/criu-world.ts';
import { statisticsOf } from '../statistics.ts';
import { gatesOf } from './gates.ts';
import { FULL_PLAN, SMALL_PLAN } from './plan.ts';
import type { BenchReport, DumpRow } from './report.ts';
import { concurrencySection, footprintSection, interconnectSection, referenceSection } from './sections.ts';
import { type DumpTime, openSite } from './site.ts';
import { gateTable, rowTable } from './text.ts';

export interface BenchOptions {
  jsonPath?: string | undefined;
  repetitions?: number | undefined;
  small: boolean;
  deviceDirectory?: string | undefined;
  /** Beside the reference case, which everything is judged by. Default: all. */
  sections?: readonly Section[] | undefined;
}

export const SECTIONS = ['concurrency', 'interconnect', 'footprint'] as const;
export type Section = (typeof SECTIONS)[number];

export async function runRestoreBench(options: BenchOptions): Promise<BenchReport> {
  if (criuMissing !== '') throw new OffloadError('invalid_state', `bench restore: ${criuMissing}`);
  const startedAt = new Date();
  const plan = { ...(options.small ? SMALL_PLAN : FULL_PLAN) };
  if (options.repetitions !== undefined) plan.repetitions = options.repetitions;
  const site = await openSite({ deviceDirectory: options.deviceDirectory });
  try {
    const bench = { plan, site, say: (text: string) => process.stderr.write(`bench: ${text}\n`) };
    const reference = await referenceSection(bench);
    const rows = [...reference.rows];
    const chosen = new Set(options.sections ?? SECTIONS);
    if (chosen.has('concurrency')) rows.push(...(await concurrencySection(bench, reference.checkpoint)));
    if (chosen.has('interconnect')) rows.push(...(await interconnectSection(bench, reference.checkpoint)));
    site.forget(reference.checkpoint);
    if (chosen.has('footprint')) rows.push(...(await footprintSection(bench)));
    const dumps = await dumpRows(reference.checkpoint.workload.name, reference.dumps);
    const report: BenchReport = {
      createdAt: startedAt.toISOString(),
      durationS: (Date.now() - startedAt.getTime()) / 1_000,
      machine: {
        cpus: `${cpus()[0]?.model ?? 'unknown'} (${arch()})`,
        cpuCount: cpus().length,
        memoryMiB: Math.round(totalmem() / MIB),
        kernel: release(),
        node: process.version,
      },
      reference: {
        heapMiB: plan.heapMiB,
        touchedPageCount: plan.touchedPageCount,
        repetitions: plan.repetitions,
      },
      gates: gatesOf({ rows, dumps, footprintGateMiB: plan.footprintGateMiB }),
      rows,
      dumps,
      timelines: [],
    };
    if (options.jsonPath !== undefined)
      writeFileSync(options.jsonPath, `${JSON.stringify(report, null, 2)}\n`);
    process.stdout.write(`${rowTable(report)}\n${gateTable(report)}\n`);
    return report;
  } finally {
    await site.close();
  }
}

async function dumpRows(workload: string, dumps: readonly DumpTime[]): Promise<DumpRow[]> {
  const into = ['store', 'directory'] as const;
  return Promise.all(
    into.map(async (target) => {
      const times = dumps.filter((dump) => dump.into === target).map((dump) => dump.frozenMs);
      return { into: target, workload, frozenMs: await statisticsOf(times) };
    }),
  );
}
