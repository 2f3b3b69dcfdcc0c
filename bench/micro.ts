/**
 * `offload bench micro`: what each stage of the page path costs, in mitata. Every stage runs on a small
 * input in the tests, and on a real one here.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { measure } from 'mitata';
import {
  decodeHeader,
  encodeFrame,
  encodeHeader,
  FrameType,
  HEADER_BYTES,
  PAGE_BYTES,
} from '../interconnect/page-protocol.ts';
import type { OrderEntry } from '../offload-plane/order-log/contract.ts';
import { decodeOrder, encodeOrder } from '../offload-plane/order-log/format.ts';
import { toOrderLog } from '../offload-plane/order-log/load.ts';
import { mergeEntries } from '../offload-plane/order-log/recorder.ts';
import { FrameReader } from '../offload-plane/page-server/frame-reader.ts';
import { MapState } from '../offload-plane/page-server/map-state.ts';
import { planRestore } from '../offload-plane/page-server/plan.ts';
import { PushWork } from '../offload-plane/page-server/work.ts';
import type { CheckpointReader, PageStore } from '../offload-plane/page-store/contract.ts';
import { openPageStore } from '../offload-plane/page-store/store.ts';
import { xxh64At } from '../platform/xxhash.ts';
import { type EchoPair, openEchoPair } from './echo-pair.ts';

export interface MicroPlan {
  storedPageCount: number;
  workingSetPageCount: number;
  /** mitata measures each stage at least so long. */
  minCpuMs: number;
}

export const MICRO_FULL: MicroPlan = { storedPageCount: 131_072, workingSetPageCount: 6_000, minCpuMs: 600 };
export const MICRO_TINY: MicroPlan = { storedPageCount: 64, workingSetPageCount: 8, minCpuMs: 0 };

interface Stage {
  name: string;
  /** What one call deals with. */
  itemCount: number;
  item: 'page' | 'frame' | 'entry' | 'call';
  run(): unknown;
}

export interface MicroResult {
  name: string;
  item: Stage['item'];
  p50NsPerItem: number;
  p99NsPerItem: number;
}

const TARGET = { kind: 'task', id: 1_000 } as const;
const BASE = 0x7f00_0000_0000n;
const APPEND_PAGES = 256;
const FRAME_PAGES = 64;

export async function runMicro(plan: MicroPlan): Promise<MicroResult[]> {
  const directory = mkdtempSync(join(tmpdir(), 'bench-micro-'));
  const store = await openPageStore({ directory });
  const echo = await openEchoPair();
  try {
    const reader = await storedPages(store, 'read', plan.storedPageCount);
    const results: MicroResult[] = [];
    for (const stage of stages(plan, store, reader, echo)) results.push(await measureStage(stage, plan));
    await reader.close();
    return results;
  } finally {
    await echo.close();
    await store.close();
    rmSync(directory, { recursive: true, force: true });
  }
}

export function microTable(results: readonly MicroResult[]): string {
  const width = Math.max(...results.map(({ name }) => name.length));
  const ns = (value: number) => `${value.toFixed(0).padStart(10)} ns`;
  return results
    .map(({ name, item, p50NsPerItem, p99NsPerItem }) => {
      return `${name.padEnd(width)}  p50 ${ns(p50NsPerItem)}  p99 ${ns(p99NsPerItem)}  a ${item}`;
    })
    .join('\n');
}

async function measureStage(stage: Stage, plan: MicroPlan): Promise<MicroResult> {
  const tiny = plan.minCpuMs === 0;
  const { p50, p99 } = await measure(() => stage.run(), {
    min_cpu_time: plan.minCpuMs * 1e6,
    gc: false,
    ...(tiny ? { min_samples: 1, max_samples: 1, warmup_samples: 0, batch_samples: 4 } : {}),
  });
  const { name, item, itemCount } = stage;
  return { name, item, p50NsPerItem: p50 / itemCount, p99NsPerItem: p99 / itemCount };
}

/** Pages of which no two are alike. */
async function storedPages(store: PageStore, id: string, pageCount: number): Promise<CheckpointReader> {
  const writer = await store.begin(id);
  writer.addTarget(TARGET);
  const pages = Buffer.alloc(APPEND_PAGES * PAGE_BYTES);
  for (let first = 0; first < pageCount; first += APPEND_PAGES) {
    const count = Math.min(APPEND_PAGES, pageCount - first);
    for (let i = 0; i < count; i++) pages.writeUInt32LE(first + i + 1, i * PAGE_BYTES);
    const vaddr = BASE + BigInt(first * PAGE_BYTES);
    await writer.addPages(TARGET, vaddr, true, pages.subarray(0, count * PAGE_BYTES));
  }
  await writer.commit({});
  return store.open(id);
}

/** A scattered set: a stride that has no divisor in common with the count of pages. */
function scatteredEntries(plan: MicroPlan): OrderEntry[] {
  const stride = 40_503;
  return Array.from({ length: plan.workingSetPageCount }, (_, i) => ({
    task: TARGET.id,
    vaddr: BASE + BigInt(((i * stride) % plan.storedPageCount) * PAGE_BYTES),
    timeUs: i,
  }));
}

function stages(plan: MicroPlan, store: PageStore, reader: CheckpointReader, echo: EchoPair): Stage[] {
  return [
    ...frameStages(),
    ...storeStages(plan, store, reader),
    ...orderStages(plan, reader),
    { name: 'raw echo, 64 bytes', itemCount: 1, item: 'call', run: () => echo.raw() },
    { name: 'agent call over HTTP/2', itemCount: 1, item: 'call', run: () => echo.call() },
  ];
}

function frameStages(): Stage[] {
  const payload = Buffer.alloc(FRAME_PAGES * PAGE_BYTES);
  const into = Buffer.alloc(HEADER_BYTES);
  const header = {
    ...{ type: FrameType.PAGES, flags: 2, task: TARGET.id, vaddr: BASE, pageCount: FRAME_PAGES },
    ...{ payloadBytes: payload.length, value: 0x0123_4567_89ab_cdefn },
  };
  encodeHeader(header, into);
  const credit = encodeFrame({ type: FrameType.CREDIT, pageCount: 128 });
  const faults = Buffer.concat(Array.from({ length: FRAME_PAGES }, () => credit));
  const frames = new FrameReader();
  return [
    { name: 'header encode', itemCount: 1, item: 'frame', run: () => encodeHeader(header, into) },
    { name: 'header decode', itemCount: 1, item: 'frame', run: () => decodeHeader(into) },
    {
      name: 'frames from a stream',
      itemCount: FRAME_PAGES,
      item: 'frame',
      run: () => frames.push(faults, () => {}),
    },
    { name: 'XXH64 of a page', itemCount: 1, item: 'page', run: () => xxh64At(payload, 0, PAGE_BYTES) },
  ];
}

function storeStages(plan: MicroPlan, store: PageStore, reader: CheckpointReader): Stage[] {
  const into = Buffer.alloc(FRAME_PAGES * PAGE_BYTES);
  const entries = scatteredEntries(plan);
  const written = Math.min(plan.storedPageCount, 4_096);
  let sequence = 0;
  return [
    {
      name: 'store write and commit',
      itemCount: written,
      item: 'page',
      run: async () => {
        const id = `write-${++sequence}`;
        await (await storedPages(store, id, written)).close();
        await store.remove(id);
      },
    },
    {
      name: 'store read and verify, 64 in a row',
      itemCount: FRAME_PAGES,
      item: 'page',
      run: () => reader.readIntoSync(TARGET, BASE, Math.min(FRAME_PAGES, plan.storedPageCount), into),
    },
    {
      name: 'store read and verify, scattered',
      itemCount: entries.length,
      item: 'page',
      run: () => {
        for (const { vaddr } of entries) reader.readIntoSync(TARGET, vaddr, 1, into);
      },
    },
    {
      name: 'memory digest, scattered',
      itemCount: entries.length,
      item: 'page',
      run: () => {
        for (const { vaddr } of entries) reader.memoryDigest([{ target: TARGET, vaddr, pageCount: 1 }]);
      },
    },
  ];
}

function orderStages(plan: MicroPlan, reader: CheckpointReader): Stage[] {
  const entries = scatteredEntries(plan);
  const bytes = encodeOrder(reader.manifest.digest, entries);
  const log = toOrderLog(reader, entries);
  const [half, reversed] = [entries.slice(entries.length / 2), [...entries].reverse()];
  const itemCount = entries.length;
  const item = 'entry';
  const pushAll = () => {
    const push = new PushWork(log!.runs, new MapState(planRestore(reader, 'ordered', log).map, reader));
    while (push.take(FRAME_PAGES).length > 0);
  };
  return [
    { name: 'order log encode', itemCount, item, run: () => encodeOrder(reader.manifest.digest, entries) },
    { name: 'order log decode', itemCount, item, run: () => decodeOrder(bytes) },
    { name: 'order log merge of three', itemCount, item, run: () => mergeEntries([half, reversed, entries]) },
    { name: 'order log into runs and set', itemCount, item, run: () => toOrderLog(reader, entries) },
    { name: 'plan of a prefill', itemCount, item, run: () => planRestore(reader, 'prefill', log) },
    { name: 'push work list', itemCount, item, run: pushAll },
  ];
}
