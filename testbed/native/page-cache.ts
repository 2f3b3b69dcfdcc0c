/** Takes files out of the page cache, so that the next read is the device's. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { OffloadError } from '../../platform/errors.ts';
import { EVICT } from './programs.ts';

const TIMEOUT_MS = 120_000;

async function filesBelow(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

/** @throws {OffloadError} internal, when part of a file stays in memory */
export async function evict(directory: string): Promise<void> {
  await execa(EVICT, await filesBelow(directory), { timeout: TIMEOUT_MS });
  const bytes = await residentBytes(directory);
  if (bytes > 0)
    throw new OffloadError('internal', `evict ${directory}: ${bytes} bytes stay in the page cache`);
}

/** How much of the files is in the page cache. */
export async function residentBytes(directory: string): Promise<number> {
  const files = await filesBelow(directory);
  const { stdout } = await execa('fincore', ['--bytes', '--noheadings', '--output', 'RES', ...files], {
    timeout: TIMEOUT_MS,
  });
  return stdout.split('\n').reduce((sum, line) => sum + Number(line), 0);
}

/** Reads every file once, so that the next read is answered from memory. */
export async function readIn(directory: string): Promise<void> {
  await execa('cat', await filesBelow(directory), { timeout: TIMEOUT_MS, stdout: 'ignore' });
}
