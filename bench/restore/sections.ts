/** The parts of the restore bench: which variants are compared on which checkpoint. */
import type { TraceEvent } from '../../testbed/native/plane-protocol.ts';
import { startRelay } from '../../testbed/native/relay.ts';
import {
  type NativeCheckpoint,
  type NativePlaneAccess,
  type RestoreWay,
  restoreOnce,
} from '../../testbed/native/restore.ts';
import { syntheticHeap } from '../../testbed/native/synthetic-heap.ts';
import { interleave, rowOf, type Variant } from './interleave.ts';
import type { BenchPlan } from './plan.ts';
import { realPrograms } from './real-programs.ts';
import type { Row, Temperature, Timeline } from './report.ts';
import type { DumpTime, Site } from './site.ts';

export interface Bench {
  plan: BenchPlan;
  site: Site;
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
export const OUR_POLICIES = ['our eager', 'our lazy', 'our ordered', 'our prefill'];

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
  dumps: DumpTime[];
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
    { ...bench, repetitions: plan.repetitions },
  );
  return { checkpoint: whole, rows, dumps };
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

const CURVES: Record<string, RestoreWay> = {
  'stock lazy, our server': stock('lazy-remote'),
  'our lazy': ours('lazy'),
  'our ordered': ours('ordered'),
  'our prefill': ours('prefill'),
};

/** TTFR over the interconnect's latency, and over its bandwidth. */
export async function interconnectSection(bench: Bench, checkpoint: NativeCheckpoint): Promise<Row[]> {
  const rows: Row[] = [];
  const { latenciesUs, gbitPerS } = bench.plan;
  const lines = [
    ...latenciesUs.map((latencyUs) => ({ section: 'latency' as const, latencyUs, gbit: 0 })),
    ...gbitPerS.map((gbit) => ({ section: 'bandwidth' as const, latencyUs: 0, gbit })),
  ];
  for (const { section, latencyUs, gbit } of lines) {
    const relay = await startRelay(bench.site.access, { latencyUs, gbitPerS: gbit });
    try {
      const labels = { section, latencyUs: relay.addedLatencyUs, ...(gbit > 0 ? { gbitPerS: gbit } : {}) };
      bench.say(`${section}: ${relay.addedLatencyUs.toFixed(0)} µs each way, ${gbit || 'unlimited'} Gbit/s`);
      rows.push(...(await curvePoint(bench, checkpoint, relay.access, labels)));
    } finally {
      await relay.close();
    }
  }
  return rows;
}

function curvePoint(
  bench: Bench,
  checkpoint: NativeCheckpoint,
  access: NativePlaneAccess,
  labels: Variant['labels'],
): Promise<Row[]> {
  const rest = { site: bench.site, follow: false, labels, access };
  const variants = variantsOf(CURVES, checkpoint, ['warm'], rest);
  return interleave(variants, { ...bench, repetitions: bench.plan.pointRepetitions });
}

const FOOTPRINT: Record<string, RestoreWay> = {
  'stock eager': stock('eager'),
  'stock lazy': stock('lazy'),
  'our ordered': ours('ordered'),
  'our prefill': ours('prefill'),
};

const PROGRAM_WAYS: Record<string, RestoreWay> = {
  'stock eager': stock('eager'),
  'stock lazy': stock('lazy'),
  'our lazy': ours('lazy'),
  'our ordered': ours('ordered'),
  'our prefill': ours('prefill'),
};

/** Real programs, each asked for some of its data. */
export async function programSection(bench: Bench): Promise<Row[]> {
  const { plan, site } = bench;
  const rows: Row[] = [];
  for (const workload of await realPrograms(plan.programMiB)) {
    bench.say(`program: ${workload.name}`);
    const { made } = await site.checkpoint(workload);
    await restoreOnce(made, RECORDING, site.access);
    const rest = { site, follow: false, labels: { section: 'workload' } } as const;
    const variants = variantsOf(PROGRAM_WAYS, made, ['warm', 'cold'], rest);
    rows.push(...(await interleave(variants, { ...bench, repetitions: plan.pointRepetitions })));
    site.forget(made);
  }
  return rows;
}

/** The same pages touched in heaps of growing size. */
export async function footprintSection(bench: Bench): Promise<Row[]> {
  const { plan, site } = bench;
  const rows: Row[] = [];
  for (const heapMiB of plan.footprintsMiB) {
    bench.say(`footprint: ${heapMiB} MiB`);
    const { touchedPageCount } = plan;
    const workload = await syntheticHeap({ heapMiB, touchedPageCount, seed: SEED, fill: 'whole' });
    const { made } = await site.checkpoint(workload);
    await restoreOnce(made, RECORDING, site.access);
    const rest = { site, follow: false, labels: { section: 'footprint' as const, heapMiB } };
    const variants = variantsOf(FOOTPRINT, made, ['warm'], rest);
    rows.push(...(await interleave(variants, { ...bench, repetitions: plan.pointRepetitions })));
    site.forget(made);
  }
  return rows;
}

/** Several restores of one checkpoint at the same moment. */
export async function concurrencySection(bench: Bench, checkpoint: NativeCheckpoint): Promise<Row[]> {
  const { plan, site } = bench;
  const ways = {
    'stock lazy': stock('lazy'),
    'our ordered': ours('ordered'),
    'our prefill': ours('prefill'),
  };
  const labels = { section: 'concurrency' } as const;
  const variants = variantsOf(ways, checkpoint, ['warm'], { site, follow: true, labels });
  const samples = variants.map((): Awaited<ReturnType<typeof atOnce>> => []);
  for (let round = 0; round < plan.concurrencyRounds; round++) {
    for (const [i, { way }] of variants.entries()) {
      samples[i]!.push(...(await atOnce(checkpoint, way, site.access, plan.concurrency)));
    }
  }
  return Promise.all(variants.map((variant, i) => rowOf(variant, samples[i]!)));
}

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
export async function timelineSection(bench: Bench, checkpoint: NativeCheckpoint): Promise<Timeline[]> {
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
