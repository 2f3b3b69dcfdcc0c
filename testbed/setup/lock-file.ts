/**
 * A lock between processes as a file that names its holder by pid and kernel start time.
 *
 * The holder of a killed process cannot unlock; the start time tells a stale lock from a pid in use again.
 */
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { isProcessAlive, processStartTicks } from '../../platform/processes.ts';

export interface LockOptions {
  timeoutMs: number;
  /** Called once with the holder's pid when the lock has to be waited for. */
  onWait?: (holderPid: number) => void;
}

interface Holder {
  pid: number;
  startTicks: number;
}

/** Runs `work` while holding the lock at `path`, and lets go of it whatever happens. */
export async function withLockFile<T>(
  path: string,
  options: LockOptions,
  work: () => Promise<T>,
): Promise<T> {
  await acquire(path, options);
  try {
    return await work();
  } finally {
    rmSync(path, { force: true });
  }
}

async function acquire(path: string, options: LockOptions): Promise<void> {
  const deadlineMs = Date.now() + options.timeoutMs;
  let isWaitReported = false;
  while (!tryAcquire(path)) {
    const holder = readHolder(path);
    if (!holder || breakIfStale(path, holder)) continue;
    if (!isWaitReported) options.onWait?.(holder.pid);
    isWaitReported = true;
    if (Date.now() > deadlineMs)
      throw new Error(`lock ${path}: held by process ${holder.pid} for more than ${options.timeoutMs} ms`);
    await delay(100);
  }
}

/** Makes the lock with its content in one step: a reader never sees an empty lock. */
function tryAcquire(path: string): boolean {
  const draft = `${path}.${process.pid}`;
  const self: Holder = { pid: process.pid, startTicks: processStartTicks(process.pid) ?? 0 };
  writeFileSync(draft, JSON.stringify(self));
  try {
    linkSync(draft, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    rmSync(draft, { force: true });
  }
}

function readHolder(path: string): Holder | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Holder;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    rmSync(path, { force: true });
    return undefined;
  }
}

/** Moves a dead holder's lock away; a lock that changed hands in between is put back. */
function breakIfStale(path: string, holder: Holder): boolean {
  if (isProcessAlive(holder.pid, holder.startTicks)) return false;
  const aside = `${path}.stale-${process.pid}`;
  try {
    renameSync(path, aside);
    const moved = JSON.parse(readFileSync(aside, 'utf8')) as Holder;
    if (moved.pid !== holder.pid || moved.startTicks !== holder.startTicks) linkSync(aside, path);
  } catch {
    // Somebody else was faster: the next round sees what is there now.
  }
  rmSync(aside, { force: true });
  return true;
}
