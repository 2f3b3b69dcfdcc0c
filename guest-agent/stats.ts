/** A container's figures from its cgroup (cgroup v2: Documentation/admin-guide/cgroup-v2.rst). */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ContainerStats } from '../interconnect/agent-api.ts';

const readText = (directory: string, file: string) => readFile(join(directory, file), 'utf8').catch(() => '');

function keyed(text: string, key: string): number {
  return Number(new RegExp(`^${key} (\\d+)$`, 'm').exec(text)?.[1] ?? 0);
}

/** Sums `key=` over all devices of io.stat. */
function summed(text: string, key: string): number {
  return [...text.matchAll(new RegExp(`${key}=(\\d+)`, 'g'))].reduce(
    (sum, match) => sum + Number(match[1]),
    0,
  );
}

export async function readStats(cgroup: string): Promise<ContainerStats> {
  const [memory, peak, kinds, cpu, pids, io] = await Promise.all(
    ['memory.current', 'memory.peak', 'memory.stat', 'cpu.stat', 'pids.current', 'io.stat'].map((file) =>
      readText(cgroup, file),
    ),
  );
  return {
    memoryBytes: Number(memory ?? 0),
    memoryPeakBytes: Number(peak ?? 0),
    memoryAnonymousBytes: keyed(kinds ?? '', 'anon') + keyed(kinds ?? '', 'shmem'),
    cpuUsageUs: keyed(cpu ?? '', 'usage_usec'),
    pidCount: Number(pids ?? 0),
    ioReadBytes: summed(io ?? '', 'rbytes'),
    ioWriteBytes: summed(io ?? '', 'wbytes'),
  };
}
