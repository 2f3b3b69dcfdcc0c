/** The C programs of the native world, and how they are built. */
import { join } from 'node:path';
import { execa } from 'execa';

const ROOT = join(import.meta.dirname, '../..');
const PAGER_SOURCES = join(ROOT, 'guest-agent/pager');
const PROGRAM_SOURCES = join(import.meta.dirname, 'programs');

export const PAGER = join(
  PAGER_SOURCES,
  process.env.PAGER_ASAN ? 'build/asan/offload-pager' : 'build/offload-pager',
);
export const MEMCHECK = join(PAGER_SOURCES, 'build/offload-memcheck');
export const HEAP = join(PAGER_SOURCES, 'build/test/heap');
export const SCATTERED_HEAP = join(PROGRAM_SOURCES, 'build/scattered-heap');
export const RELAY = join(PROGRAM_SOURCES, 'build/relay');
export const FIRST_ANSWER = join(PROGRAM_SOURCES, 'build/first-answer');

/** Test files run side by side, and make knows nothing of another make: one at a time. */
async function makeIn(directory: string, goals: readonly string[]): Promise<string> {
  const { stdout } = await execa('flock', [directory, 'make', '-s', '-C', directory, ...goals], {
    timeout: 120_000,
  });
  return stdout;
}

export const makePager = (...goals: readonly string[]) => makeIn(PAGER_SOURCES, goals);

/** The pager, and the programs its tests dump. */
export async function buildPagerPrograms(): Promise<void> {
  await makePager('all', 'heap', ...(process.env.PAGER_ASAN ? ['asan'] : []));
}

/** The pager, and the programs of the restore bench. */
export async function buildBenchPrograms(): Promise<void> {
  await makePager('all');
  await makeIn(PROGRAM_SOURCES, ['all']);
}
