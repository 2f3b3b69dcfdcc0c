/**
 * What `offload up` has brought up, as a file: its supervisor writes it, the commands read it. One machine has
 * one; a record whose supervisor is gone counts for nothing.
 */
import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { OffloadError } from '../../platform/errors.ts';
import { runsDirectory } from '../../platform/places.ts';
import { isProcessAlive } from '../../platform/process-identity.ts';
import type { Accelerator } from '../qemu/argv.ts';

export interface UpOptions {
  guestCount: number;
  memoryMiB: number;
  vcpus: number;
  accelerator?: Accelerator;
  storeDirectory: string;
  /** Where the plane listens on 127.0.0.1; a free one when it is taken. */
  port: number;
}

export interface GuestRecord {
  name: string;
  pid: number;
  accelerator: Accelerator;
  memoryMiB: number;
  vcpus: number;
  running: boolean;
}

export interface UpRecord {
  supervisor: { pid: number; startTicks: number };
  phase: 'starting' | 'ready' | 'restarting' | 'stopping' | 'failed';
  /** What is being done, or what went wrong. */
  text: string;
  startedAt: string;
  options: UpOptions;
  socketPath: string;
  url?: string;
  tokenPath: string;
  planeLogPath?: string;
  planePid?: number;
  planeRestartCount: number;
  guests: GuestRecord[];
}

export interface UpPlaces {
  recordPath: string;
  socketPath: string;
  tokenPath: string;
  /** What the supervisor says when its record cannot be written. */
  logPath: string;
  /** A link to the run's directory, so that a guest's sockets have the same path in every run. */
  linkPath: string;
}

export function upPlaces(directory = runsDirectory()): UpPlaces {
  return {
    recordPath: join(directory, 'up.json'),
    socketPath: join(directory, 'plane.sock'),
    tokenPath: join(directory, 'token'),
    logPath: join(directory, 'up.log'),
    linkPath: join(directory, 'up'),
  };
}

/** The record, whether its supervisor lives or not. */
export function readRecord(places: UpPlaces): UpRecord | undefined {
  try {
    return JSON.parse(readFileSync(places.recordPath, 'utf8')) as UpRecord;
  } catch {
    return undefined;
  }
}

/** What is up now, if anything is. */
export function whatIsUp(places: UpPlaces): UpRecord | undefined {
  const record = readRecord(places);
  return record && isSupervised(record) ? record : undefined;
}

export function isSupervised({ supervisor }: UpRecord): boolean {
  return isProcessAlive(supervisor.pid, supervisor.startTicks);
}

/** @throws {OffloadError} already_exists when another supervisor is there */
export function claimRecord(places: UpPlaces, record: UpRecord): void {
  mkdirSync(join(places.recordPath, '..'), { recursive: true, mode: 0o700 });
  const known = readRecord(places);
  if (known && !isSupervised(known)) rmSync(places.recordPath, { force: true });
  const draft = draftOf(places, record);
  try {
    linkSync(draft, places.recordPath);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    throw new OffloadError('already_exists', `up: another one is on its way, see ${places.recordPath}`);
  } finally {
    rmSync(draft, { force: true });
  }
}

export function writeRecord(places: UpPlaces, record: UpRecord): void {
  renameSync(draftOf(places, record), places.recordPath);
}

function draftOf(places: UpPlaces, record: UpRecord): string {
  const draft = `${places.recordPath}.${record.supervisor.pid}`;
  writeFileSync(draft, JSON.stringify(record, null, 2), { mode: 0o600 });
  return draft;
}

/** Takes away every file of it. */
export function removePlaces(places: UpPlaces): void {
  for (const path of Object.values(places)) rmSync(path, { force: true });
}
