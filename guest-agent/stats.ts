/** A container's figures from its cgroup (cgroup v2: Documentation/admin-guide/cgroup-v2.rst). */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ContainerStats, Pressure } from '../interconnect/agent-api.ts';
import { vethName } from './network.ts';

const FILES = [
  'memory.current',
  'memory.peak',
  'memory.max',
  'memory.stat',
  'memory.events',
  'cpu.stat',
  'pids.current',
  'pids.max',
  'io.stat',
  'cpu.pressure',
  'memory.pressure',
  'io.pressure',
] as const;
type Texts = Record<(typeof FILES)[number], string>;

const readText = (path: string) => readFile(path, 'utf8').catch(() => '');

function keyed(text: string, key: string): number {
  return Number(new RegExp(`^${key} (\\d+)$`, 'm').exec(text)?.[1] ?? 0);
}

/** Sums `key=` over all devices of io.stat. */
function summed(text: string, key: string): number {
  return [...text.matchAll(new RegExp(`\\b${key}=(\\d+)`, 'g'))].reduce(
    (sum, match) => sum + Number(match[1]),
    0,
  );
}

/** A limit, unless the kernel says `max`. */
function limit<K extends string>(name: K, text: string): { [name in K]?: number } {
  return /^\d+\s*$/.test(text) ? ({ [name]: Number(text) } as { [name in K]: number }) : {};
}

function stall(text: string, kind: 'some' | 'full'): Pressure['some'] {
  const line = new RegExp(`^${kind} (.*)$`, 'm').exec(text)?.[1] ?? '';
  const value = (key: string) => Number(new RegExp(`${key}=([\\d.]+)`).exec(line)?.[1] ?? 0);
  return { avg10: value('avg10'), avg60: value('avg60'), avg300: value('avg300'), totalUs: value('total') };
}

/** Nothing where the kernel keeps no account (psi=0). */
function pressures(texts: Texts): Pick<ContainerStats, 'pressure'> {
  if (texts['cpu.pressure'] === '') return {};
  const of = (file: keyof Texts) => ({ some: stall(texts[file], 'some'), full: stall(texts[file], 'full') });
  return { pressure: { cpu: of('cpu.pressure'), memory: of('memory.pressure'), io: of('io.pressure') } };
}

/** What the guest's end of the container's link has sent is what the container has received. */
async function networkBytes(address: string): Promise<{ received: number; sent: number }> {
  const directory = `/sys/class/net/${vethName(address)}/statistics`;
  const [received, sent] = await Promise.all(
    ['tx_bytes', 'rx_bytes'].map((file) => readText(join(directory, file))),
  );
  return { received: Number(received), sent: Number(sent) };
}

export async function readStats(cgroup: string, address: string): Promise<ContainerStats> {
  const [network, ...contents] = await Promise.all([
    networkBytes(address),
    ...FILES.map((file) => readText(join(cgroup, file))),
  ]);
  const texts = Object.fromEntries(FILES.map((file, index) => [file, contents[index]])) as Texts;
  const [kinds, cpu, io] = [texts['memory.stat'], texts['cpu.stat'], texts['io.stat']];
  return {
    memoryBytes: Number(texts['memory.current']),
    memoryPeakBytes: Number(texts['memory.peak']),
    memoryAnonymousBytes: keyed(kinds, 'anon') + keyed(kinds, 'shmem'),
    ...limit('memoryLimitBytes', texts['memory.max']),
    oomKillCount: keyed(texts['memory.events'], 'oom_kill'),
    cpuUsageUs: keyed(cpu, 'usage_usec'),
    cpuUserUs: keyed(cpu, 'user_usec'),
    cpuSystemUs: keyed(cpu, 'system_usec'),
    cpuThrottledUs: keyed(cpu, 'throttled_usec'),
    pidCount: Number(texts['pids.current']),
    ...limit('pidLimit', texts['pids.max']),
    ioReadBytes: summed(io, 'rbytes'),
    ioWriteBytes: summed(io, 'wbytes'),
    ioReadCount: summed(io, 'rios'),
    ioWriteCount: summed(io, 'wios'),
    networkReceivedBytes: network.received,
    networkSentBytes: network.sent,
    ...pressures(texts),
  };
}
