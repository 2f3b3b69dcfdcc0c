/** `offload bench restore`: runs every section, judges, and writes the report. */
import { writeFileSync } from 'node:fs';
import { arch, cpus, release, totalmem } from 'node:os';
import { OffloadError } from '../../platform/errors.ts';
import { MIB } from '../../platform/units.ts';
import { criuMissing } from '../../testbed/native/criu-world.ts';
import { statisticsOf } from '../statistics.ts';
import { gatesOf } from './gates.ts';
import { reportHtml } from './html.ts';
import { type BenchPlan, FULL_PLAN, SMALL_PLAN } from './plan.ts';
import type { BenchReport, DumpRow } from './report.ts';
import {
  concurrencySection,
  footprintSection,
  interconnectSection,
  programSection,
  referenceSection,
  timelineSection,
} from './sections.ts';
import { type DumpTime, openSite } from './site.ts';
import { gateTable, rowTable } from './text.ts';

export interface BenchOptions {
  jsonPath?: string | undefined;
  htmlPath?: string | undefined;
  repetitions?: number | undefined;
  small: boolean;
  deviceDirectory?: string | undefined;
  /** Beside the reference case, which everything is judged by. Default: all. */
  sections?: readonly Section[] | undefined;
}

export const SECTIONS = ['concurrency', 'interconnect', 'footprint', 'programs'] as const;
export type Section = (typeof SECTIONS)[number];

export async function runRestoreBench(options: BenchOptions): Promise<BenchReport> {
  if (criuMissing !== '') throw new OffloadError('invalid_state', `bench restore: ${criuMissing}`);
  const startedAt = new Date();
  const plan = { ...(options.small ? SMALL_PLAN : FULL_PLAN) };
  if (options.repetitions !== undefined) plan.repetitions = options.repetitions;
  const onSignal = () => process.exit(130); // what was made goes with the process
  process.once('SIGINT', onSignal).once('SIGTERM', onSignal);
  const site = await openSite({ deviceDirectory: options.deviceDirectory });
  try {
    const bench = { plan, site, say: (text: string) => process.stderr.write(`bench: ${text}\n`) };
    const parts: ReportParts = { rows: [], dumps: [], timelines: [] };
    const save = () => {
      const report = reportOf(parts, plan, startedAt);
      if (options.jsonPath !== undefined) {
        writeFileSync(options.jsonPath, `${JSON.stringify(report, null, 2)}\n`);
      }
      if (options.htmlPath !== undefined) writeFileSync(options.htmlPath, reportHtml(report));
      return report;
    };
    const chosen = new Set(options.sections ?? SECTIONS);
    const { checkpoint, rows, dumps } = await referenceSection(bench);
    parts.rows.push(...rows);
    parts.dumps = await dumpRows(checkpoint.workload.name, dumps);
    parts.timelines = await timelineSection(bench, checkpoint);
    save(); // a run that is cut off keeps what it has
    if (chosen.has('concurrency')) parts.rows.push(...(await concurrencySection(bench, checkpoint)));
    save();
    if (chosen.has('interconnect')) parts.rows.push(...(await interconnectSection(bench, checkpoint)));
    save();
    site.forget(checkpoint);
    if (chosen.has('footprint')) parts.rows.push(...(await footprintSection(bench)));
    save();
    if (chosen.has('programs')) parts.rows.push(...(await programSection(bench)));
    const report = save();
    process.stdout.write(`${rowTable(report)}\n${gateTable(report)}\n`);
    return report;
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
    await site.close();
  }
}

type ReportParts = Pick<BenchReport, 'rows' | 'dumps' | 'timelines'>;

function reportOf(parts: ReportParts, plan: BenchPlan, startedAt: Date): BenchReport {
  const { heapMiB, touchedPageCount, repetitions, footprintGateMiB } = plan;
  return {
    createdAt: startedAt.toISOString(),
    durationS: (Date.now() - startedAt.getTime()) / 1_000,
    machine: {
      cpus: `${cpus()[0]?.model ?? 'unknown'} (${arch()})`,
      cpuCount: cpus().length,
      memoryMiB: Math.round(totalmem() / MIB),
      kernel: release(),
      node: process.version,
    },
    reference: { heapMiB, touchedPageCount, repetitions },
    gates: gatesOf({ ...parts, footprintGateMiB }),
    ...parts,
  };
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
