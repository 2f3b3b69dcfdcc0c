/** `offload bench compare REV`: page server, page store and pager of two revisions in one interleaved run. */
import { copyFileSync, mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { OffloadError } from '../../platform/errors.ts';
import { scratchDirectory } from '../../testbed/native/checkpoint.ts';
import { restoreOnce } from '../../testbed/native/restore.ts';
import { syntheticHeap } from '../../testbed/native/synthetic-heap.ts';
import { openBudget } from './budget.ts';
import { interleave, type Variant } from './interleave.ts';
import { type BenchPlan, FULL_PLAN } from './plan.ts';
import type { Row } from './report.ts';
import { COMPARED, RECORDING, SEED } from './sections.ts';
import { openSite, type Site } from './site.ts';
import { rowTable } from './text.ts';

const ROOT = join(import.meta.dirname, '../..');
/** What steers a plane belongs to the bench, and is the same for both. */
const STEERING = ['plane-process.ts', 'plane-protocol.ts', 'derive-order.ts'];

/** Repetitions are the user's choice; this only bounds them. */
const BUDGET_MS = 3_600_000;

export interface CompareOptions {
  revision: string;
  repetitions: number;
  say(text: string): void;
}

export async function runCompare(options: CompareOptions): Promise<Row[]> {
  const { revision, repetitions, say } = options;
  const sources = await sourcesOf(revision);
  const there = await openSite({ sources });
  try {
    const here = await openSite({});
    try {
      const variants = [
        ...(await variantsOn(there, revision, FULL_PLAN)),
        ...(await variantsOn(here, 'this tree', FULL_PLAN)),
      ];
      return await interleave(variants, { what: 'compare', repetitions, budget: openBudget(BUDGET_MS), say });
    } finally {
      await here.close();
    }
  } finally {
    await there.close();
  }
}

export const compareTable = (rows: Row[]) => rowTable({ rows, dumps: [] });

/** The revision's files, with the packages of this tree. */
async function sourcesOf(revision: string): Promise<string> {
  const directory = scratchDirectory();
  const archive = `git archive --format=tar "$1" | tar -x -C "$2"`;
  const { exitCode, stderr } = await execa(
    'bash',
    ['-o', 'pipefail', '-c', archive, 'sh', revision, directory],
    {
      cwd: ROOT,
      reject: false,
      timeout: 60_000,
    },
  );
  if (exitCode !== 0) throw new OffloadError('invalid_request', `bench compare ${revision}: ${stderr}`);
  symlinkSync(join(ROOT, 'node_modules'), join(directory, 'node_modules'));
  mkdirSync(join(directory, 'testbed/native'), { recursive: true });
  for (const name of STEERING) {
    copyFileSync(join(ROOT, 'testbed/native', name), join(directory, 'testbed/native', name));
  }
  return directory;
}

async function variantsOn(site: Site, label: string, plan: BenchPlan): Promise<Variant[]> {
  const { heapMiB, touchedPageCount } = plan;
  const workload = await syntheticHeap({ heapMiB, touchedPageCount, seed: SEED, fill: 'whole' });
  const { made: checkpoint } = await site.checkpoint(workload);
  await restoreOnce(checkpoint, RECORDING, site.access);
  return (['warm', 'cold'] as const).flatMap((temperature) =>
    Object.entries(COMPARED).map(
      ([name, way]): Variant => ({
        ...{ name: `${name}, ${label}`, way, checkpoint, temperature, site },
        ...{ access: site.access, follow: true, labels: { section: 'reference' } },
      }),
    ),
  );
}
