/** Which process a pid means: pids come again, a pid with its start time does not. */
import { readFileSync } from 'node:fs';

/** Kernel start time of a process in clock ticks since boot, or undefined when there is no such process. */
export function processStartTicks(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field is the command in brackets and may hold spaces: count from its end.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // A zombie holds nothing any more, only its parent's wait() is missing.
    return fields[0] === 'Z' ? undefined : Number(fields[19]);
  } catch {
    return undefined;
  }
}

/** True when that very process (not a later one with the same pid) is alive. */
export function isProcessAlive(pid: number, startTicks: number): boolean {
  return processStartTicks(pid) === startTicks;
}
