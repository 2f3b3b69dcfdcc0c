/** Watches a restored process's memory come in, by the kernel's own count of its resident pages. */
import { readFileSync } from 'node:fs';
import { monotonicMs } from './first-answer.ts';

/** The pid that every dumped process has in its namespace (criu-world.ts). */
const DUMPED_PID = '1000';
const INTERVAL_MS = 1;

export interface ResidentSample {
  atMs: number;
  pageCount: number;
}

export interface ResidentWatch {
  /** Only changes are kept. */
  readonly samples: readonly ResidentSample[];
  stop(): void;
}

/** @param worldPid of the process whose descendants the restored one will be among */
export function watchResident(worldPid: number): ResidentWatch {
  const samples: ResidentSample[] = [];
  let pid: number | undefined;
  const look = () => {
    pid ??= restoredPid(worldPid);
    const pageCount = pid === undefined ? undefined : residentPages(pid);
    if (pageCount === undefined || pageCount === samples.at(-1)?.pageCount) return;
    samples.push({ atMs: monotonicMs(), pageCount });
  };
  const timer = setInterval(look, INTERVAL_MS);
  return { samples, stop: () => clearInterval(timer) };
}

function residentPages(pid: number): number | undefined {
  const statm = read(`/proc/${pid}/statm`);
  return statm === undefined ? undefined : Number(statm.split(' ')[1]);
}

function restoredPid(ancestor: number): number | undefined {
  const children = read(`/proc/${ancestor}/task/${ancestor}/children`)?.trim().split(' ') ?? [];
  for (const child of children.filter((pid) => pid !== '')) {
    const own = /^NSpid:.*\t(\d+)$/m.exec(read(`/proc/${child}/status`) ?? '')?.[1];
    if (own === DUMPED_PID) return Number(child);
    const below = restoredPid(Number(child));
    if (below !== undefined) return below;
  }
  return undefined;
}

/** undefined when the process is gone. */
function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
