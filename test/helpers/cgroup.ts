/** Cgroups of a test's own. */
import { mkdirSync, readFileSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { until } from './until.ts';

export interface Cgroup {
  path: string;
  remove(): Promise<void>;
}

let count = 0;

/** A cgroup v2 directory, or undefined where there is no such hierarchy, or nobody to make it. */
export function makeCgroup(): Cgroup | undefined {
  const mount = readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .find((line) => line.split(' ')[2] === 'cgroup2');
  if (mount === undefined || process.getuid?.() !== 0) return undefined;
  const path = join(mount.split(' ')[1]!, `pager-test-${process.pid}-${count++}`);
  mkdirSync(path);
  return { path, remove: () => until(`removal of ${path}`, () => removed(path)) };
}

/** Busy as long as a killed process is not quite gone. */
function removed(path: string): boolean {
  try {
    rmdirSync(path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EBUSY') throw error;
    return false;
  }
}
