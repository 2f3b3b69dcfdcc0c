/** Runs variants in turns, so that whatever drifts on the machine meets all of them alike. */

import { MS_PER_S } from '../../platform/units.ts';
import type {
  NativeCheckpoint,
  NativePlaneAccess,
  RestoreSample,
  RestoreWay,
} from '../../testbed/native/restore.ts';
import { restoreOnce } from '../../testbed/native/restore.ts';
import { type Statistics, statisticsOf } from '../statistics.ts';
import type { Budget } from './budget.ts';
import type { Row, Temperature } from './report.ts';
import type { Site } from './site.ts';

export interface Variant {
  name: string;
  way: RestoreWay;
  checkpoint: NativeCheckpoint;
  temperature: Temperature;
  site: Site;
  /** Default: the site's own, straight to the plane. */
  access?: NativePlaneAccess;
  /** Takes part in every so many rounds only. Default: 1. */
  everyRounds?: number;
  /** Follow it until every page is in place. */
  follow: boolean;
  /** What the row says beside its figures. */
  labels: Pick<Row, 'section'> & Partial<Pick<Row, 'latencyUs' | 'gbitPerS' | 'heapMiB'>>;
}

export interface InterleaveOptions {
  /** As it is told while it runs. */
  what: string;
  repetitions: number;
  budget: Budget;
  say(text: string): void;
}

export async function interleave(variants: readonly Variant[], options: InterleaveOptions): Promise<Row[]> {
  const samples = variants.map((): RestoreSample[] => []);
  await inRounds(options, async (round) => {
    for (const [i, variant] of variants.entries()) {
      if (round % (variant.everyRounds ?? 1) === 0) samples[i]!.push(await sampleOf(variant));
    }
  });
  return Promise.all(variants.map((variant, i) => rowOf(variant, samples[i]!)));
}

/** At least one round; each further one only if the budget has room for the longest so far. */
export async function inRounds(
  options: InterleaveOptions,
  once: (round: number) => Promise<void>,
): Promise<void> {
  const { what, repetitions, budget, say } = options;
  let longestMs = 0;
  for (let round = 0; round < repetitions; round++) {
    if (round > 0 && !budget.hasRoomFor(longestMs)) {
      budget.cut(`${what}: ${round} of ${repetitions} rounds`);
      return;
    }
    const startMs = performance.now();
    await once(round);
    const tookMs = performance.now() - startMs;
    longestMs = Math.max(longestMs, tookMs);
    say(`${what}: round ${round + 1} of ${repetitions}, ${(tookMs / MS_PER_S).toFixed(1)} s`);
  }
}

async function sampleOf(variant: Variant): Promise<RestoreSample> {
  const { site } = variant;
  await site.prepare(variant.checkpoint, variant.way, variant.temperature);
  return restoreOnce(variant.checkpoint, variant.way, variant.access ?? site.access, {
    follow: variant.follow,
  });
}

export async function rowOf(variant: Variant, samples: readonly RestoreSample[]): Promise<Row> {
  const series = async (key: 'allInMs' | 'preparedMs' | 'criuMs' | 'faultCount') => {
    const values = samples.map((sample) => sample[key]).filter((value) => value !== undefined);
    return values.length === 0
      ? {}
      : ({ [key]: await statisticsOf(values) } as Record<typeof key, Statistics>);
  };
  return {
    ...variant.labels,
    workload: variant.checkpoint.workload.name,
    variant: variant.name,
    temperature: variant.temperature,
    ttfrMs: await statisticsOf(samples.map((sample) => sample.ttfrMs)),
    ...(await series('allInMs')),
    ...(await series('preparedMs')),
    ...(await series('criuMs')),
    ...(await series('faultCount')),
  };
}
