/** The tasks of a container, by its cgroup and those below it. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Pids as the guest sees them, in no order; none when there is no such cgroup. */
export async function cgroupPids(cgroup: string): Promise<number[]> {
  const names = await readdir(cgroup, { recursive: true }).catch(() => []);
  const lists = names.filter((name) => name.endsWith('cgroup.procs'));
  const texts = await Promise.all(lists.map((name) => readFile(join(cgroup, name), 'utf8').catch(() => '')));
  return texts.join('\n').split('\n').filter(Boolean).map(Number);
}
