/**
 * Everything of one run (sockets, logs, records of children) in one directory, so that nothing outlives it.
 *
 * The directory's name is its owner: pid and kernel start time. A later start finds the runs of owners
 * that are gone, ends what is left of them by pid with matching start time, and deletes them.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pollUntil } from '../../platform/deadline.ts';
import { runsDirectory } from '../../platform/places.ts';
import {
  isProcessAlive,
  processStartTicks,
  type RunningProcess,
  type StartOptions,
  startProcess,
} from '../../platform/processes.ts';
import { unmountBelow } from './mounts.ts';

interface ChildRecord {
  name: string;
  pid: number;
  startTicks: number;
}

let runCount = 0;

export class RunDirectory {
  readonly path: string;
  /** On a real disk: guests' temporary overlays go here, which may be bigger than a tmpfs likes. */
  readonly scratchPath: string;
  #children = new Map<RunningProcess, string>();

  constructor(path: string, scratchPath: string) {
    this.path = path;
    this.scratchPath = scratchPath;
  }

  /** Path of a file in the run directory. Throws when it would not fit a Unix socket address. */
  file(name: string): string {
    const path = join(this.path, name);
    // sun_path has 108 bytes with its final zero; the vsock daemon's listeners add "_<port>".
    if (Buffer.byteLength(path) > 96) throw new Error(`path too long for a Unix socket (96 bytes): ${path}`);
    return path;
  }

  /** Starts a child and records it, so that the next start can end it if this process cannot. */
  startChild(name: string, command: string, args: string[], options: StartOptions = {}): RunningProcess {
    const child = startProcess(command, args, options);
    if (child.pid < 0) return child;
    const recordPath = join(this.path, 'children', `${child.pid}.json`);
    const record: ChildRecord = { name, pid: child.pid, startTicks: child.startTicks };
    writeFileSync(recordPath, JSON.stringify(record));
    this.#children.set(child, recordPath);
    child.exited.then(() => {
      this.#children.delete(child);
      rmSync(recordPath, { force: true });
    });
    return child;
  }

  /** Kills what still runs and deletes the directory. */
  async remove(): Promise<void> {
    const children = [...this.#children.keys()];
    for (const child of children) child.kill('SIGKILL');
    await Promise.all(children.map((child) => child.exited));
    await unmountBelow(this.path);
    rmSync(this.path, { recursive: true, force: true });
    rmSync(this.scratchPath, { recursive: true, force: true });
  }
}

export interface RunDirectoryOptions {
  /** Parent of all runs. */
  runsDirectory?: string;
  /** Parent of the scratch directories, on a disk. */
  scratchDirectory: string;
}

/** Makes a run directory owned by this process. */
export function createRunDirectory(options: RunDirectoryOptions): RunDirectory {
  runCount += 1;
  const name = `${process.pid}-${processStartTicks(process.pid)}-${runCount}`;
  const path = join(options.runsDirectory ?? runsDirectory(), name);
  mkdirSync(join(path, 'children'), { recursive: true, mode: 0o700 });
  const scratchPath = join(options.scratchDirectory, name);
  mkdirSync(scratchPath, { recursive: true, mode: 0o700 });
  return new RunDirectory(path, scratchPath);
}

export interface SweepResult {
  runCount: number;
  killedCount: number;
}

/** Ends and deletes the runs whose owner is gone. Called at each start. */
export async function sweepStaleRuns(options: RunDirectoryOptions): Promise<SweepResult> {
  const runs = options.runsDirectory ?? runsDirectory();
  const result: SweepResult = { runCount: 0, killedCount: 0 };
  for (const name of staleNames(runs)) {
    result.runCount += 1;
    for (const child of readChildren(join(runs, name, 'children'))) {
      if (await killRecorded(child)) result.killedCount += 1;
    }
    await unmountBelow(join(runs, name));
    rmSync(join(runs, name), { recursive: true, force: true });
  }
  for (const name of staleNames(options.scratchDirectory))
    rmSync(join(options.scratchDirectory, name), { recursive: true, force: true });
  return result;
}

function staleNames(directory: string): string[] {
  let names: string[] = [];
  try {
    names = readdirSync(directory);
  } catch {}
  return names.filter((name) => {
    const owner = /^(\d+)-(\d+)-\d+$/.exec(name);
    return owner && !isProcessAlive(Number(owner[1]), Number(owner[2]));
  });
}

function readChildren(directory: string): ChildRecord[] {
  try {
    return readdirSync(directory).flatMap((name) => {
      try {
        return [JSON.parse(readFileSync(join(directory, name), 'utf8')) as ChildRecord];
      } catch {
        return []; // Half written: the owner died in that very moment, and the kernel took the child along.
      }
    });
  } catch {
    return [];
  }
}

async function killRecorded(child: ChildRecord): Promise<boolean> {
  if (!isProcessAlive(child.pid, child.startTicks)) return false;
  process.kill(child.pid, 'SIGKILL');
  await pollUntil(() => !isProcessAlive(child.pid, child.startTicks) || undefined, {
    timeoutMs: 10_000,
    intervalMs: 10,
    what: `sweep stale runs: end ${child.name} (pid ${child.pid})`,
  });
  return true;
}
