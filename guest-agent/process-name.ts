/** A process by its pid and when it was started, so that a later one of the same pid is not taken for it. */
import { readFileSync } from 'node:fs';

export interface ProcessName {
  pid: number;
  /** In the kernel's ticks since it booted. */
  startTicks: number;
}

/** proc_pid_stat(5), counted from the state, which follows the name in brackets. */
const STATE = 0;
const START_TICKS = 19;

/** The process that has this pid now; undefined when none has, or it only waits to be reaped. */
export function processNamed(pid: number, proc = '/proc'): ProcessName | undefined {
  try {
    const stat = readFileSync(`${proc}/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (fields[STATE] === 'Z' || fields[STATE] === 'X') return undefined;
    return { pid, startTicks: Number(fields[START_TICKS]) };
  } catch {
    return undefined;
  }
}

export function isAlive({ pid, startTicks }: ProcessName): boolean {
  return processNamed(pid)?.startTicks === startTicks;
}

/** Fine for one that has ended. */
export function sendSignal(process_: ProcessName, signal: NodeJS.Signals): void {
  if (!isAlive(process_)) return;
  try {
    process.kill(process_.pid, signal);
  } catch {
    // It ended meanwhile.
  }
}
