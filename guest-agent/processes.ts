/** The processes of a container, from its cgroup and /proc (proc_pid_stat(5), proc_pid_status(5)). */
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Process, ProcessList } from '../interconnect/agent-api.ts';
import { cgroupPids } from './cgroup-tasks.ts';

/** A container may have more: they are counted, and the list ends. */
const MAX_LISTED = 1_000;
const MAX_COMMAND_LENGTH = 512;
/** A process may have megabytes of arguments, or say that all its memory is arguments. */
const MAX_CMDLINE_BYTES = 4_096;
/** USER_HZ and the page size are the same on every x86-64 and arm64 Linux that Debian builds. */
const US_PER_TICK = 10_000;
const PAGE_BYTES = 4096;
/** proc_pid_stat(5), counted from the state, which is the third: what comes before may hold spaces. */
const STAT = {
  state: 0,
  parent: 1,
  userTicks: 11,
  systemTicks: 12,
  threads: 17,
  startTicks: 19,
  resident: 21,
};

/** Lists them by pid. */
export async function listProcesses(cgroup: string, proc = '/proc'): Promise<ProcessList> {
  const pids = (await cgroupPids(cgroup)).sort((a, b) => a - b);
  const uptimeText = await readFile(join(proc, 'uptime'), 'utf8');
  const uptimeMs = Number(uptimeText.split(' ')[0]) * 1000;
  const read = await Promise.all(pids.slice(0, MAX_LISTED).map((pid) => readProcess(proc, pid, uptimeMs)));
  // One that has ended meanwhile is not there.
  const found = read.filter((entry) => entry !== undefined);
  const inner = new Map(found.map(({ process }) => [process.guestPid, process.pid]));
  const processes = found
    .map(({ process, guestParent }) => ({ ...process, parentPid: inner.get(guestParent) ?? 0 }))
    .sort((a, b) => a.pid - b.pid);
  return { processes, total: pids.length };
}

async function readProcess(
  proc: string,
  guestPid: number,
  uptimeMs: number,
): Promise<{ process: Process; guestParent: number } | undefined> {
  const read = (file: string) => readFile(join(proc, String(guestPid), file), 'utf8').catch(() => '');
  const [stat, status, cmdline] = await Promise.all([
    read('stat'),
    read('status'),
    readBeginning(join(proc, String(guestPid), 'cmdline')).catch(() => ''),
  ]);
  const nameBegin = stat.indexOf('(');
  const nameEnd = stat.lastIndexOf(')');
  if (nameBegin === -1 || status === '') return undefined;
  const fields = stat.slice(nameEnd + 2).split(' ');
  const value = (index: number) => Number(fields[index] ?? 0);
  // A container may write what it likes into its arguments.
  const words = cmdline.replace(/[\0\s]+/g, ' ').trim();
  return {
    guestParent: value(STAT.parent),
    process: {
      pid: Number(/^NSpid:.*\s(\d+)$/m.exec(status)?.[1] ?? guestPid),
      parentPid: 0,
      guestPid,
      uid: Number(/^Uid:\s+(\d+)/m.exec(status)?.[1] ?? 0),
      state: fields[STAT.state]?.slice(0, 1) ?? '?',
      threadCount: value(STAT.threads),
      residentBytes: value(STAT.resident) * PAGE_BYTES,
      cpuUs: (value(STAT.userTicks) + value(STAT.systemTicks)) * US_PER_TICK,
      runtimeMs: Math.max(0, Math.round(uptimeMs - value(STAT.startTicks) * (US_PER_TICK / 1000))),
      command: (words || `[${stat.slice(nameBegin + 1, nameEnd)}]`).slice(0, MAX_COMMAND_LENGTH),
    },
  };
}

async function readBeginning(path: string): Promise<string> {
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(MAX_CMDLINE_BYTES), 0, MAX_CMDLINE_BYTES, 0);
    return buffer.toString('utf8', 0, bytesRead);
  } finally {
    await file.close();
  }
}
