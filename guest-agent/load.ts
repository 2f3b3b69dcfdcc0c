/** What the guest as a whole is busy with, from /proc: Documentation/filesystems/proc.rst, accounting/psi.rst. */
import { readFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import type { GuestLoad } from '../interconnect/agent-api.ts';

/** Of the first line of /proc/stat, in hundredths of a second: user, nice, system, idle, iowait, irq, softirq, steal. */
const IDLE_FIELDS = [3, 4];
const USER_HZ = 100;
const KIBIBYTE = 1_024;

export async function readLoad(procDirectory = '/proc'): Promise<GuestLoad> {
  const read = (file: string) => readFile(join(procDirectory, file), 'utf8').catch(() => '');
  const [stat, memory, ...pressures] = await Promise.all(
    ['stat', 'meminfo', 'pressure/cpu', 'pressure/memory', 'pressure/io'].map(read),
  );
  const [cpu, ofMemory, io] = pressures.map(someAvg10);
  return {
    cpuCount: cpus().length,
    cpuBusyMs: busyMs(stat!),
    memoryTotalBytes: kibibytes(memory!, 'MemTotal') * KIBIBYTE,
    memoryAvailableBytes: kibibytes(memory!, 'MemAvailable') * KIBIBYTE,
    ...(cpu === undefined || ofMemory === undefined || io === undefined
      ? {}
      : { pressure: { cpu, memory: ofMemory, io } }),
  };
}

function busyMs(stat: string): number {
  const fields = /^cpu +(.*)$/m.exec(stat)?.[1]?.split(' ').slice(0, 8).map(Number) ?? [];
  const busy = fields.reduce((sum, value, index) => (IDLE_FIELDS.includes(index) ? sum : sum + value), 0);
  return (busy * 1_000) / USER_HZ;
}

const kibibytes = (meminfo: string, key: string) =>
  Number(new RegExp(`^${key}: +(\\d+) kB$`, 'm').exec(meminfo)?.[1] ?? 0);

/** Percent of the last 10 s in which something waited; nothing where the kernel keeps no account. */
function someAvg10(text: string): number | undefined {
  const value = /^some avg10=([\d.]+)/m.exec(text)?.[1];
  return value === undefined ? undefined : Number(value);
}
