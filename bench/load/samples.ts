/** Memory of plane and agent at intervals, while the load is on. */
import { setTimeout as sleep } from 'node:timers/promises';
import { KIB } from '../../platform/units.ts';
import type { MemorySample } from './report.ts';

export interface Sources {
  /** The plane's own metrics. */
  metrics(): Promise<string>;
  /** Runs a script in the guest. */
  inGuest(script: string): Promise<string>;
}

const AGENT_SCRIPT = `grep -E '^(Rss|Anonymous):' /proc/$(pgrep -o -f '^node .*/agent\\.mjs')/smaps_rollup`;

/** @param atS of its clock */
export async function sampleMemory(sources: Sources, atS = 0): Promise<MemorySample> {
  const [plane, agent] = await Promise.all([sources.metrics(), sources.inGuest(AGENT_SCRIPT)]);
  const metric = (name: string) => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(plane)?.[1]);
  const bytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(agent)?.[1]) * KIB;
  return {
    atS,
    planeResidentBytes: metric('process_resident_memory_bytes'),
    planeHeapBytes: metric('nodejs_heap_size_used_bytes'),
    agentResidentBytes: bytes('Rss'),
    agentAnonymousBytes: bytes('Anonymous'),
  };
}

/** Until the signal; the last sample is taken then. */
export async function sampleUntil(
  signal: AbortSignal,
  sources: Sources,
  intervalS: number,
): Promise<MemorySample[]> {
  const startMs = performance.now();
  const samples: MemorySample[] = [];
  do {
    samples.push(await sampleMemory(sources, (performance.now() - startMs) / 1_000));
    await sleep(intervalS * 1_000, undefined, { signal }).catch(() => {});
  } while (!signal.aborted);
  samples.push(await sampleMemory(sources, (performance.now() - startMs) / 1_000));
  return samples;
}
