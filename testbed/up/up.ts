/** `offload up` and `offload down`: a supervisor in the background, started, followed and ended. */
import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pollUntil } from '../../platform/deadline.ts';
import { OffloadError } from '../../platform/errors.ts';
import { isProcessAlive, lastLines } from '../../platform/processes.ts';
import { sweepStaleRuns } from '../qemu/run-directory.ts';
import { cacheDirectory } from '../setup/cache.ts';
import {
  isSupervised,
  readRecord,
  removePlaces,
  type UpOptions,
  type UpPlaces,
  type UpRecord,
  whatIsUp,
} from './record.ts';

/** The first time, the guest image has to be built. */
const UP_TIMEOUT_MS = 30 * 60_000;
const DOWN_TIMEOUT_MS = 60_000;
const INTERVAL_MS = 50;

/** Checkpoints and images stay in it from one `up` to the next. */
export const defaultStoreDirectory = (): string => join(cacheDirectory(), 'store');

export interface Follower {
  onProgress(text: string): void;
  /** Aborted when who waits gives up: then everything is taken down again. */
  signal: AbortSignal;
}

/** @returns the record once everything is up, also when it was before */
export async function bringUp(options: UpOptions, places: UpPlaces, follower: Follower): Promise<UpRecord> {
  const before = whatIsUp(places);
  const pid = before?.supervisor.pid ?? startInBackground(options, places);
  try {
    return await pollUntil(() => lookAt(pid, places, follower), {
      timeoutMs: UP_TIMEOUT_MS,
      intervalMs: INTERVAL_MS,
      what: 'up: wait until everything is up',
    }).then((outcome) => {
      if (outcome instanceof Error) throw outcome;
      return outcome;
    });
  } catch (error) {
    if (!before) await takeDown(places);
    throw error;
  }
}

/** The record when all is up, why it will not be, or undefined while it is not yet. */
function lookAt(pid: number, places: UpPlaces, { onProgress, signal }: Follower) {
  if (signal.aborted) return new OffloadError('cancelled', 'up: given up');
  const record = readRecord(places);
  if (record?.phase === 'ready') return record;
  if (record?.phase === 'failed') return new OffloadError('internal', `up: ${record.text}`);
  if (!isProcessAlive(pid, record?.supervisor.startTicks ?? -1) && !isRunning(pid)) {
    const lastWords = lastLines(readFileSync(places.logPath, 'utf8'), 3);
    return new OffloadError('internal', `up: the supervisor ended: ${lastWords}`);
  }
  if (record?.text) onProgress(record.text);
  return undefined;
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** In a session of its own: Ctrl-C here and the end of this terminal are not its business. */
function startInBackground(options: UpOptions, places: UpPlaces): number {
  mkdirSync(dirname(places.logPath), { recursive: true, mode: 0o700 });
  rmSync(places.recordPath, { force: true });
  const log = openSync(places.logPath, 'w', 0o600);
  try {
    const main = join(import.meta.dirname, 'main.ts');
    const child = spawn(process.execPath, [main, JSON.stringify(options)], {
      cwd: '/',
      detached: true,
      stdio: ['ignore', log, log],
    });
    child.unref();
    return child.pid ?? -1;
  } finally {
    closeSync(log);
  }
}

/** Ends it all; true when something was there. What a supervisor that was killed has left goes, too. */
export async function takeDown(places: UpPlaces): Promise<boolean> {
  const record = readRecord(places);
  const supervised = record !== undefined && isSupervised(record);
  if (supervised) await endSupervisor(record);
  await sweepStaleRuns({ scratchDirectory: join(cacheDirectory(), 'scratch') });
  removePlaces(places);
  return supervised;
}

async function endSupervisor({ supervisor: { pid, startTicks } }: UpRecord): Promise<void> {
  const ended = () => !isProcessAlive(pid, startTicks) || undefined;
  process.kill(pid, 'SIGTERM');
  const wait = { timeoutMs: DOWN_TIMEOUT_MS, intervalMs: INTERVAL_MS, what: 'down: end the supervisor' };
  await pollUntil(ended, wait).catch(async () => {
    process.kill(pid, 'SIGKILL');
    await pollUntil(ended, wait);
  });
}
