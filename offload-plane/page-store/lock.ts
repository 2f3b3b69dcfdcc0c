/**
 * One process owns a store at a time: it holds an exclusive flock on the store's lock file for its life,
 * and the kernel lets go of it however the process ends.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { FileHandle } from 'node:fs/promises';
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { OffloadError } from '../../platform/errors.ts';

const LOCK = 'lock';
/** flock's own exit code for a lock that is held. */
const HELD = 75;
/** It answers at once; only a machine in trouble does not. */
const DEADLINE_MS = 10_000;

export interface StoreLock {
  release(): Promise<void>;
}

/**
 * Node cannot lock files; flock(1) can. A lock belongs to the open file, not to the process that asked for
 * it, so it stays with the descriptor that we lend to flock(1) and keep.
 * @throws {OffloadError} invalid_state, naming the process that has the store
 */
export async function lockStore(directory: string): Promise<StoreLock> {
  const path = join(directory, LOCK);
  const file = await open(path, 'a+');
  try {
    const { exitCode, stderr } = await askForLock(file.fd);
    if (exitCode === HELD) throw await heldBy(directory, path);
    if (exitCode !== 0) throw new OffloadError('internal', `page store lock ${directory}: flock: ${stderr}`);
    await note(file);
    return { release: () => file.close() };
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function askForLock(fd: number): Promise<{ exitCode: number | null; stderr: string }> {
  const flags = ['--exclusive', '--nonblock', '--conflict-exit-code', String(HELD), '3'];
  const flock = spawn('flock', flags, { stdio: ['ignore', 'ignore', 'pipe', fd], timeout: DEADLINE_MS });
  const said = text(flock.stderr!).catch(() => '');
  try {
    const [exitCode] = (await once(flock, 'close')) as [number | null];
    return { exitCode, stderr: (await said).trim() || `exit code ${exitCode}` };
  } catch (error) {
    return { exitCode: null, stderr: (error as Error).message }; // there is no flock(1)
  }
}

/** For messages only. */
async function note(file: FileHandle): Promise<void> {
  await file.truncate(0);
  await file.write(`${process.pid}\n`);
}

async function heldBy(directory: string, path: string): Promise<OffloadError> {
  const pid = (await readFile(path, 'utf8').catch(() => '')).trim();
  const holder = /^\d+$/.test(pid) ? `process ${pid}` : 'another process';
  return new OffloadError('invalid_state', `page store open ${directory}: ${holder} has this store open`);
}
