/**
 * Which program each task of a container runs, told by where the kernel has put its vDSO. CRIU takes a vDSO
 * for unchanged whenever it builds on an earlier dump, but after an execve(2) it lies somewhere else.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** getauxval(3): the vDSO's address. */
const AT_SYSINFO_EHDR = 33n;
const ENTRY_BYTES = 16;

/** Address of the vDSO by pid. Tasks without memory (zombies) are left out. */
export type Programs = ReadonlyMap<string, bigint>;

export async function readPrograms(cgroup: string): Promise<Programs> {
  const names = await readdir(cgroup, { recursive: true }).catch(() => []);
  const lists = names.filter((name) => name.endsWith('cgroup.procs'));
  const texts = await Promise.all(lists.map((name) => readFile(join(cgroup, name), 'utf8').catch(() => '')));
  const pids = texts.join('\n').split('\n').filter(Boolean);
  const programs = new Map<string, bigint>();
  for (const pid of pids) {
    const vdso = findVdso(await readFile(`/proc/${pid}/auxv`).catch(() => Buffer.alloc(0)));
    if (vdso !== undefined) programs.set(pid, vdso);
  }
  return programs;
}

/** Whether no task of both has begun another program. A pid that was taken again is CRIU's to find out. */
export function runTheSame(before: Programs, now: Programs): boolean {
  return [...now].every(([pid, vdso]) => (before.get(pid) ?? vdso) === vdso);
}

function findVdso(auxv: Buffer): bigint | undefined {
  for (let at = 0; at + ENTRY_BYTES <= auxv.length; at += ENTRY_BYTES) {
    if (auxv.readBigUInt64LE(at) === AT_SYSINFO_EHDR) return auxv.readBigUInt64LE(at + 8);
  }
  return undefined;
}
