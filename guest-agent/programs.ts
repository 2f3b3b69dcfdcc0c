/**
 * Which program each task of a container runs, told by where the kernel has put its vDSO. CRIU takes a vDSO
 * for unchanged whenever it builds on an earlier dump, but after an execve(2) it lies somewhere else.
 */
import { readFile } from 'node:fs/promises';
import { cgroupPids } from './cgroup-tasks.ts';

/** getauxval(3): the vDSO's address. */
const AT_SYSINFO_EHDR = 33n;
const ENTRY_BYTES = 16;

/** Address of the vDSO by pid. Tasks without memory (zombies) are left out. */
export type Programs = ReadonlyMap<string, bigint>;

export async function readPrograms(cgroup: string): Promise<Programs> {
  const programs = new Map<string, bigint>();
  for (const pid of await cgroupPids(cgroup)) {
    const vdso = findVdso(await readFile(`/proc/${pid}/auxv`).catch(() => Buffer.alloc(0)));
    if (vdso !== undefined) programs.set(String(pid), vdso);
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
