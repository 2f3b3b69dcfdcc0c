/** `offload bench restore`: runs every section, judges, and writes the report. */
import { writeFileSync } from 'node:fs';
import { arch, cpus, release, totalmem } from 'node:os';
import { OffloadError } from '../../platform/errors.ts';
import { MIB, MS_PER_S } from '../../platform/units.ts';
import { criuMissing } from '../../testbed/native/criu-world.ts';
import { openBudget } from './budget.ts';
import { gatesOf } from './gates.ts';
import { reportHtml } from './html.ts';
import { type BenchPlan, FULL_PLAN, SECTIONS, type Section, SMALL_PLAN } from './plan.ts';
import type { BenchReport, Row } from './report.ts';
import { type Bench, footprintSection, ON_REFERENCE, programSection, referenceSection } from './sections.ts';
import { openSite } from './site.ts';
import { gateTable, rowTable, sectionTable } from './text.ts';

export interface BenchOptions {
  jsonPath?: string | undefined;
  htmlPath?: string | undefined;
  repetitions?: number | undefined;
  small: boolean;
  deviceDirectory?: string | undefined;
  /** Beside the reference case, which everything is judged by. Default: all. */
  sections?: readonly Section[] | undefined;
}

type ReportParts = Pick<BenchReport, 'rows' | 'dumps' | 'timelines' | 'sections' | 'skipped'>;

export async function runRestoreBench(options: BenchOptions): Promise<BenchReport> {
  if (criuMissing !== '') throw new OffloadError('invalid_state', `bench restore: ${criuMissing}`);
  const startedAt = new Date();
  const plan = { ...(options.small ? SMALL_PLAN : FULL_PLAN) };
  if (options.repetitions !== undefined) plan.repetitions = options.repetitions;
  const whole = openBudget(plan.totalMs);
  const onSignal = () => process.exit(130); // what was made goes with the process
  process.once('SIGINT', onSignal).once('SIGTERM', onSignal);
  const site = await openSite({ deviceDirectory: options.deviceDirectory });
  const parts: ReportParts = { rows: [], dumps: [], timelines: [], sections: [], skipped: [] };
  const chosen = new Set(options.sections ?? SECTIONS);
  const say = (text: string) => process.stderr.write(`bench: ${text}\n`);

  /** Runs it within its budget. A run that is cut off keeps what it has: the report is written after each. */
  async function section<T>(
    name: keyof BenchPlan['budgetMs'],
    work: (bench: Bench) => Promise<T>,
    keep: (measured: T) => void,
  ): Promise<T> {
    const budgetMs = Math.min(plan.budgetMs[name], whole.leftMs);
    const budget = openBudget(budgetMs);
    const budgetS = Math.round(budgetMs / MS_PER_S);
    say(`${name}: at most about ${budgetS} s of the ${Math.round(whole.leftMs / MS_PER_S)} s left`);
    const measured = await work({ plan, site, budget, say });
    const tookS = budget.tookMs / MS_PER_S;
    keep(measured);
    parts.sections.push({ name, budgetS, tookS, cuts: [...budget.cuts] });
    say(`${name}: took ${tookS.toFixed(0)} s of ${budgetS} s`);
    for (const cut of budget.cuts) say(`${name}: cut for want of time: ${cut}`);
    write();
    return measured;
  }

  function write(): BenchReport {
    const report = reportOf(parts, plan, startedAt);
    if (options.jsonPath !== undefined) {
      writeFileSync(options.jsonPath, `${JSON.stringify(report, null, 2)}\n`);
    }
    if (options.htmlPath !== undefined) writeFileSync(options.htmlPath, reportHtml(report));
    return report;
  }

  try {
    const keepRows = ({ rows }: { rows: Row[] }) => {
      parts.rows.push(...rows);
    };
    const { checkpoint } = await section('reference', referenceSection, (measured) => {
      keepRows(measured);
      parts.dumps = measured.dumps;
      parts.timelines = measured.timelines;
    });
    for (const [name, measure] of Object.entries(ON_REFERENCE)) {
      if (chosen.has(name as Section)) {
        await section(name as Section, (bench) => measure(bench, checkpoint), keepRows);
      }
    }
    site.forget(checkpoint);
    if (chosen.has('footprint')) await section('footprint', footprintSection, keepRows);
    if (chosen.has('programs')) {
      await section('programs', programSection, (measured) => {
        keepRows(measured);
        parts.skipped.push(...measured.skipped);
      });
    }
    const report = write();
    process.stdout.write(`${rowTable(report)}\n${sectionTable(report)}\n${gateTable(report)}\n`);
    return report;
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
    await site.close();
  }
}

function reportOf(parts: ReportParts, plan: BenchPlan, startedAt: Date): BenchReport {
  const { heapMiB, touchedPageCount, repetitions, footprintGateMiB, concurrency } = plan;
  return {
    createdAt: startedAt.toISOString(),
    durationS: (Date.now() - startedAt.getTime()) / MS_PER_S,
    machine: {
      cpus: `${cpus()[0]?.model ?? 'unknown'} (${arch()})`,
      cpuCount: cpus().length,
      memoryMiB: Math.round(totalmem() / MIB),
      kernel: release(),
      node: process.version,
    },
    reference: { heapMiB, touchedPageCount, repetitions },
    gates: gatesOf({ ...parts, footprintGateMiB, concurrency }),
    ...parts,
  };
}
