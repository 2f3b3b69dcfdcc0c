/** The parts of the restore bench: which variants are compared on which checkpoint. */
import { OffloadError } from '../../platform/errors.ts';
import type { TraceEvent } from '../../testbed/native/plane-protocol.ts';
import { startRelay } from '../../testbed/native/relay.ts';
import {
  type NativeCheckpoint,
  type NativePlaneAccess,
  type RestoreWay,
  restoreOnce,
} from '../../testbed/native/restore.ts';
import { syntheticHeap } from '../../testbed/native/synthetic-heap.ts';
import { statisticsOf } from '../statistics.ts';
import type { Budget } from './budget.ts';
import { inRounds, interleave, rowOf, type Variant } from './interleave.ts';
import type { BenchPlan } from './plan.ts';
import { REAL_PROGRAMS } from './real-programs.ts';
import type { DumpRow, Row, Skipped, Temperature, Timeline } from './report.ts';
import type { DumpTime, Site } from './site.ts';

interface Measured {
  rows: Row[];
}

export interface Bench {
  plan: BenchPlan;
  site: Site;
  /** Of the section. */
  budget: Budget;
  say(text: string): void;
}

export const SEED = 1;
/** Another request than the one that is measured. */
const OTHER_SEED = 2;

const stock = (how: 'eager' | 'lazy' | 'lazy-remote'): RestoreWay => ({ kind: 'stock', how });
const ours = (policy: 'eager' | 'lazy' | 'ordered' | 'prefill', more: object = {}): RestoreWay => ({
  kind: 'ours',
  policy,
  ...more,
});

/** What a restore without a log does while it makes one. */
export const RECORDING = ours('lazy', { order: 'none', record: true, keepOrderAs: 'recorded' });

const PEERS: Record<string, RestoreWay> = {
  'stock eager': stock('eager'),
  'stock lazy': stock('lazy'),
  'stock lazy, our server': stock('lazy-remote'),
  'our eager': ours('eager'),
  'our lazy': ours('lazy'),
  'our ordered': ours('ordered'),
  'our prefill': ours('prefill'),
};

/** What two revisions are compared by. */
export const COMPARED: Record<string, RestoreWay> = {
  lazy: ours('lazy'),
  ordered: ours('ordered'),
  prefill: ours('prefill'),
};

const ABLATIONS: Record<string, RestoreWay> = {
  'ordered, sorted': ours('ordered', { order: 'sorted' }),
  'ordered, reversed': ours('ordered', { order: 'reversed' }),
  'ordered, random': ours('ordered', { order: 'random' }),
  'ordered, stale': ours('ordered', { order: 'stale' }),
  'ordered, foreign': ours('ordered', { order: 'foreign' }),
  'ordered, no log': ours('ordered', { order: 'none' }),
  'prefill, stale': ours('prefill', { order: 'stale' }),
  'prefill, foreign': ours('prefill', { order: 'foreign' }),
};

function variantsOf(
  ways: Record<string, RestoreWay>,
  checkpoint: NativeCheckpoint,
  temperatures: readonly Temperature[],
  rest: Omit<Variant, 'name' | 'way' | 'checkpoint' | 'temperature'>,
): Variant[] {
  return temperatures.flatMap((temperature) =>
    Object.entries(ways).map(([name, way]) => ({ name, way, checkpoint, temperature, ...rest })),
  );
}

export interface Reference {
  checkpoint: NativeCheckpoint;
  rows: Row[];
  dumps: DumpRow[];
  timelines: Timeline[];
}

/** The reference case: all peers, the floor, recordings and other orders, in one interleaved run. */
export async function referenceSection(bench: Bench): Promise<Reference> {
  const { plan, site } = bench;
  const heap = { heapMiB: plan.heapMiB, touchedPageCount: plan.touchedPageCount, seed: SEED };
  const { made: whole, dumps } = await site.checkpoint(
    await syntheticHeap({ ...heap, fill: 'whole' }),
    plan.dumpRepetitions,
  );
  const { made: floor } = await site.checkpoint(await syntheticHeap({ ...heap, fill: 'touched' }));
  await makeOrders(bench, whole, heap);
  const followed = { site, follow: true, labels: { section: 'reference' } } as const;
  const rows = await interleave(
    [
      ...variantsOf(PEERS, whole, ['warm'], followed),
      ...variantsOf({ 'our lazy, recording': RECORDING }, whole, ['warm'], followed),
      ...variantsOf(ABLATIONS, whole, ['warm'], {
        site,
        follow: false,
        everyRounds: 2,
        labels: { section: 'ablation' },
      }),
      ...variantsOf({ floor: stock('eager') }, floor, ['warm', 'cold'], followed),
      ...variantsOf(PEERS, whole, ['cold'], { ...followed, follow: false }),
    ],
    { ...bench, what: 'reference case', repetitions: plan.repetitions },
  );
  const timelines = await timelinesOf(bench, whole);
  return { checkpoint: whole, rows, dumps: await dumpRows(whole.workload.name, dumps), timelines };
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

/** Records the log that belongs to the request and one that belongs to another; the rest follows from them. */
async function makeOrders(
  { site }: Bench,
  checkpoint: NativeCheckpoint,
  heap: { heapMiB: number; touchedPageCount: number },
): Promise<void> {
  const other = await syntheticHeap({ ...heap, seed: OTHER_SEED, fill: 'whole' });
  const { request, verify } = other;
  const workload = { ...checkpoint.workload, request, verify: verify.bind(other) };
  const foreign = ours('lazy', { order: 'none', record: true, keepOrderAs: 'foreign' });
  await restoreOnce({ ...checkpoint, workload }, foreign, site.access);
  await restoreOnce(checkpoint, RECORDING, site.access); // the last recording stays with the checkpoint
  for (const how of ['sorted', 'reversed', 'random', 'stale'] as const) {
    await site.plane.call('deriveOrder', { from: 'recorded', how, other: 'foreign', name: how });
  }
}

/** They wait for a round trip a page: the slower the line, the longer. */
const CURVES_BY_FAULTS: Record<string, RestoreWay> = {
  'stock lazy, our server': stock('lazy-remote'),
  'our lazy': ours('lazy'),
};
const CURVES_BY_PUSH: Record<string, RestoreWay> = {
  'our ordered': ours('ordered'),
  'our prefill': ours('prefill'),
};

interface Line {
  latencyUs: number;
  /** 0: not shaped. */
  gbitPerS: number;
}

/** TTFR over the interconnect's latency. */
function latencySection(bench: Bench, checkpoint: NativeCheckpoint): Promise<Measured> {
  const lines = bench.plan.latenciesUs.map((latencyUs) => ({ latencyUs, gbitPerS: 0 }));
  return curve(bench, checkpoint, 'latency', lines, bench.plan.latencyRepetitions);
}

/** TTFR over the interconnect's bandwidth. */
function bandwidthSection(bench: Bench, checkpoint: NativeCheckpoint): Promise<Measured> {
  const lines = bench.plan.gbitPerS.map((gbitPerS) => ({ latencyUs: 0, gbitPerS }));
  return curve(bench, checkpoint, 'bandwidth', lines, bench.plan.bandwidthRepetitions);
}

async function curve(
  bench: Bench,
  checkpoint: NativeCheckpoint,
  section: 'latency' | 'bandwidth',
  lines: readonly Line[],
  repetitions: number,
): Promise<Measured> {
  const { site, say } = bench;
  const rows: Row[] = [];
  for (const [i, line] of lines.entries()) {
    const relay = await startRelay(site.access, line);
    try {
      const { addedLatencyUs: latencyUs, access } = relay;
      const labels = { section, latencyUs, ...(section === 'bandwidth' ? { gbitPerS: line.gbitPerS } : {}) };
      const rest = { site, follow: false, labels, access };
      const variants = [
        ...variantsOf(CURVES_BY_FAULTS, checkpoint, ['warm'], { ...rest, everyRounds: 3 }),
        ...variantsOf(CURVES_BY_PUSH, checkpoint, ['warm'], rest),
      ];
      const what = `${section} ${latencyUs.toFixed(0)} µs, ${line.gbitPerS || 'unlimited'} Gbit/s`;
      const budget = bench.budget.share(lines.length - i);
      rows.push(...(await interleave(variants, { what, repetitions, budget, say })));
    } finally {
      await relay.close();
    }
  }
  return { rows: sortedBy(rows, (row) => row.gbitPerS || Number.POSITIVE_INFINITY) };
}

/** Points are not always measured in the order in which they are shown. */
const sortedBy = (rows: readonly Row[], of: (row: Row) => number) =>
  rows.toSorted((a, b) => Math.sign(of(a) - of(b)) || 0);

const FOOTPRINT: Record<string, RestoreWay> = {
  'stock eager': stock('eager'),
  'stock lazy': stock('lazy'),
  'our ordered': ours('ordered'),
  'our prefill': ours('prefill'),
};

/** The same pages touched in heaps of growing size. */
export async function footprintSection(bench: Bench): Promise<Measured> {
  const { plan, site, say } = bench;
  const { touchedPageCount, footprintRepetitions: repetitions } = plan;
  const rows: Row[] = [];
  for (const [i, heapMiB] of plan.footprintsMiB.entries()) {
    const what = `footprint ${heapMiB} MiB`;
    if (!bench.budget.hasRoomFor(0)) {
      bench.budget.cut(what);
      continue;
    }
    const budget = bench.budget.share(plan.footprintsMiB.length - i);
    say(`${what}: checkpoint`);
    const workload = await syntheticHeap({ heapMiB, touchedPageCount, seed: SEED, fill: 'whole' });
    const { made } = await site.checkpoint(workload);
    await restoreOnce(made, RECORDING, site.access);
    const rest = { site, follow: false, labels: { section: 'footprint' as const, heapMiB } };
    const variants = variantsOf(FOOTPRINT, made, ['warm'], rest);
    rows.push(...(await interleave(variants, { what, repetitions, budget, say })));
    site.forget(made);
  }
  return { rows: sortedBy(rows, (row) => row.heapMiB!) };
}

const PROGRAM_WAYS: Record<string, RestoreWay> = {
  'stock eager': stock('eager'),
  'stock lazy': stock('lazy'),
  'our eager': ours('eager'),
  'our lazy': ours('lazy'),
  'our ordered': ours('ordered'),
  'our prefill': ours('prefill'),
};

/** Real programs, each asked for some of its data. One that is not to be had is skipped. */
export async function programSection(bench: Bench): Promise<{ rows: Row[]; skipped: Skipped[] }> {
  const { plan, site, say } = bench;
  const rows: Row[] = [];
  const skipped: Skipped[] = [];
  const programs = Object.entries(REAL_PROGRAMS);
  for (const [i, [name, make]] of programs.entries()) {
    const what = `program ${name}`;
    if (!bench.budget.hasRoomFor(0)) {
      bench.budget.cut(what);
      continue;
    }
    const workload = await make(plan.programMiB).catch((error) => absent(error));
    if ('reason' in workload) {
      skipped.push({ section: 'programs', what: name, reason: workload.reason });
      say(`${what}: skipped: ${workload.reason}`);
      continue;
    }
    const budget = bench.budget.share(programs.length - i);
    say(`${what}: checkpoint`);
    const { made } = await site.checkpoint(workload);
    await restoreOnce(made, RECORDING, site.access);
    const rest = { site, labels: { section: 'workload' as const } };
    const variants = plan.programTemperatures.flatMap((temperature) =>
      variantsOf(PROGRAM_WAYS, made, [temperature], { ...rest, follow: temperature === 'warm' }),
    );
    const repetitions = plan.programRepetitions;
    rows.push(...(await interleave(variants, { what, repetitions, budget, say })));
    site.forget(made);
  }
  return { rows, skipped };
}

/** Only a program that is not there is none of the bench's business. */
function absent(error: unknown): { reason: string } {
  if (error instanceof OffloadError && error.code === 'not_found') return { reason: error.message };
  throw error;
}

/** Several restores of one checkpoint at the same moment. */
async function concurrencySection(bench: Bench, checkpoint: NativeCheckpoint): Promise<Measured> {
  const { plan, site, budget, say } = bench;
  const ways = {
    'stock lazy': stock('lazy'),
    'our ordered': ours('ordered'),
    'our prefill': ours('prefill'),
  };
  const labels = { section: 'concurrency' } as const;
  const variants = variantsOf(ways, checkpoint, ['warm'], { site, follow: true, labels });
  const samples = variants.map((): Awaited<ReturnType<typeof atOnce>> => []);
  const rounds = { what: `${plan.concurrency} at once`, repetitions: plan.concurrencyRounds, budget, say };
  await inRounds(rounds, async () => {
    for (const [i, { way, temperature }] of variants.entries()) {
      await site.prepare(checkpoint, way, temperature);
      samples[i]!.push(...(await atOnce(checkpoint, way, site.access, plan.concurrency)));
    }
  });
  return { rows: await Promise.all(variants.map((variant, i) => rowOf(variant, samples[i]!))) };
}

/** What is measured on the reference case's checkpoint beside it. */
export const ON_REFERENCE = {
  concurrency: concurrencySection,
  latency: latencySection,
  bandwidth: bandwidthSection,
};

/** All are prepared before the first begins. */
async function atOnce(
  checkpoint: NativeCheckpoint,
  way: RestoreWay,
  access: NativePlaneAccess,
  count: number,
) {
  const start = Promise.withResolvers<void>();
  let preparedCount = 0;
  const onPrepared = () => {
    preparedCount += 1;
    if (preparedCount === count) start.resolve();
  };
  const options = { start: start.promise, onPrepared };
  return Promise.all(Array.from({ length: count }, () => restoreOnce(checkpoint, way, access, options)));
}

/** A few restores, page by page. */
async function timelinesOf(bench: Bench, checkpoint: NativeCheckpoint): Promise<Timeline[]> {
  const timelines: Timeline[] = [];
  const ways = { 'our ordered': ours('ordered'), 'our prefill': ours('prefill'), 'our lazy': ours('lazy') };
  for (const [variant, way] of Object.entries(ways)) {
    const sample = await restoreOnce(checkpoint, way, bench.site.access, { trace: true });
    const since = <T extends { atMs: number }>(events: readonly T[]) =>
      events.map((event) => ({ ...event, atMs: Number((event.atMs - sample.startedAtMs).toFixed(3)) }));
    timelines.push({
      variant,
      workload: checkpoint.workload.name,
      ttfrMs: sample.ttfrMs,
      allInMs: sample.allInMs!,
      events: since(thinned(sample.session!.trace)),
      resident: since(sample.resident ?? []),
    });
  }
  return timelines;
}

const LEAST_STEP_MS = 0.2;

/** Events of one kind that follow each other closely become one: pictures have so many pixels. */
function thinned(events: readonly TraceEvent[]): TraceEvent[] {
  const last = new Map<TraceEvent['what'], TraceEvent>();
  const kept: TraceEvent[] = [];
  for (const event of events) {
    const previous = last.get(event.what);
    if (previous !== undefined && event.atMs - previous.atMs < LEAST_STEP_MS) {
      previous.pageCount += event.pageCount;
      continue;
    }
    const copy = { ...event };
    last.set(event.what, copy);
    kept.push(copy);
  }
  return kept;
}
