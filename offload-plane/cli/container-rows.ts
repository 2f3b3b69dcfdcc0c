/** Containers as people read them: docker's columns, and the guest. */
import type { ContainerStats, ProcessList } from '../../interconnect/agent-api.ts';
import { US_PER_MS } from '../../platform/units.ts';
import type { ContainerView } from '../http-api/schemas/containers.ts';
import { age, duration, percent, shortBytes } from './format.ts';

export const psRows = (containers: readonly ContainerView[], nowMs: number): object[] =>
  containers.map((container) => ({
    'container id': container.id,
    name: container.name,
    image: container.image,
    guest: container.guest,
    created: age(container.createdAt, nowMs),
    status: statusOf(container, nowMs),
    ports: container.ports.map(portText).join(', '),
  }));

/** `Up 3 minutes (healthy)`, `Exited (1) 2 hours ago`. */
export function statusOf(container: ContainerView, nowMs: number): string {
  const { phase, exitCode, startedAt, finishedAt, health } = container;
  const since = startedAt === undefined ? '' : ` ${duration(Math.max(0, nowMs - Date.parse(startedAt)))}`;
  switch (phase) {
    case 'running':
      return `Up${since}${health === undefined ? '' : ` (${health})`}`;
    case 'paused':
      return `Up${since} (paused)`;
    case 'stopped':
      return `Exited (${exitCode ?? '?'})${finishedAt === undefined ? '' : ` ${age(finishedAt, nowMs)}`}`;
    default:
      return `${phase[0]?.toUpperCase()}${phase.slice(1)}`;
  }
}

type Port = ContainerView['ports'][number];
export const hostText = ({ hostAddress, hostPort }: Port): string => `${hostAddress}:${hostPort}`;
export const portText = (port: Port): string => `${hostText(port)}->${port.containerPort}/tcp`;

export interface StatsSample {
  container: ContainerView;
  stats: ContainerStats;
  atMs: number;
}

/** @param before the sample before it: processors are a share of the time between the two */
export function statsRow({ container, stats, atMs }: StatsSample, before?: StatsSample): object {
  const { memoryBytes, memoryLimitBytes, pidCount, ioReadBytes, ioWriteBytes } = stats;
  const passedUs = before ? (atMs - before.atMs) * US_PER_MS : 0;
  const usedUs = before ? stats.cpuUsageUs - before.stats.cpuUsageUs : 0;
  return {
    name: container.name,
    guest: container.guest,
    'cpu %': passedUs > 0 ? percent(Math.max(0, usedUs) / passedUs) : '-',
    'mem usage / limit': `${shortBytes(memoryBytes)} / ${memoryLimitBytes === undefined ? '-' : shortBytes(memoryLimitBytes)}`,
    'net i/o': `${shortBytes(stats.networkReceivedBytes)} / ${shortBytes(stats.networkSentBytes)}`,
    'block i/o': `${shortBytes(ioReadBytes)} / ${shortBytes(ioWriteBytes)}`,
    pids: pidCount,
    'waits cpu/mem/io': pressureOf(stats),
  };
}

/** How much of the last 10 s something stood still for want of it (PSI). */
const pressureOf = ({ pressure }: ContainerStats): string =>
  pressure === undefined
    ? '-'
    : [pressure.cpu, pressure.memory, pressure.io].map(({ some }) => `${some.avg10.toFixed(1)}%`).join(' ');

export const processRows = ({ processes }: ProcessList): object[] =>
  processes.map(({ pid, parentPid, uid, state, threadCount, residentBytes, cpuUs, command }) => ({
    pid,
    ppid: parentPid,
    uid,
    state,
    threads: threadCount,
    rss: shortBytes(residentBytes),
    'cpu s': (cpuUs / 1e6).toFixed(2),
    command,
  }));
