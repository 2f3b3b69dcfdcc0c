/** The C programs of the native world, and how they are built. */
import { join } from 'node:path';
import { execa } from 'execa';

const ROOT = join(import.meta.dirname, '../..');
const PAGER_SOURCES = join(ROOT, 'guest-agent/pager');
const PROGRAM_SOURCES = join(import.meta.dirname, 'programs');

export const PAGER = join(PAGER_SOURCES, 'build/offload-pager');
export const SCATTERED_HEAP = join(PROGRAM_SOURCES, 'build/scattered-heap');
export const WITHOUT_IO_URING = join(PROGRAM_SOURCES, 'build/without-io-uring');
export const WITH_SOCKET = join(PROGRAM_SOURCES, 'build/with-socket');
export const RELAY = join(PROGRAM_SOURCES, 'build/relay');
export const FIRST_ANSWER = join(PROGRAM_SOURCES, 'build/first-answer');

export const EVICT = join(PROGRAM_SOURCES, 'build/evict');

/** Everything anew, behind another one that does the same. */
const MAKE_TIMEOUT_MS = 600_000;

/**
 * Test files run side by side, and make knows nothing of another make: one at a time.
 * @returns what was printed
 */
export async function makeIn(directory: string, ...goals: readonly string[]): Promise<string> {
  const argv = [directory, 'make', '-s', '-C', directory, ...goals];
  return (await execa('flock', argv, { timeout: MAKE_TIMEOUT_MS })).stdout;
}

/** The pager of another source tree. */
export async function buildPagerOf(sources: string): Promise<string> {
  const directory = join(sources, 'guest-agent/pager');
  await makeIn(directory, 'all');
  return join(directory, 'build/offload-pager');
}

/** The pager, and the programs of the restore bench. */
export async function buildBenchPrograms(): Promise<void> {
  await makeIn(PAGER_SOURCES, 'all');
  await makeIn(PROGRAM_SOURCES, 'all');
}
