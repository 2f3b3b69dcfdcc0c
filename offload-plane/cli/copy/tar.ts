/** GNU tar on this machine, packing and unpacking what is copied. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { posix } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { OffloadError } from '../../../platform/errors.ts';

const MAX_COMPLAINT_BYTES = 4_096;

/** Everything belongs to root there, as with `docker cp`. */
export function packArgs(path: string, name: string): string[] {
  const whole = posix.resolve(path);
  const [directory, own] = name === '.' ? [whole, '.'] : [posix.dirname(whole), posix.basename(whole)];
  const renaming = own === name ? [] : [`--transform=s|^${inPattern(own)}|${inReplacement(name)}|rhS`];
  return [
    ...['-c', '-f', '-', '--format=gnu', '--owner=0', '--group=0', '--numeric-owner', ...renaming],
    ...['-C', directory, '--', own],
  ];
}

/** What came from a guest gives nothing away: owner and special bits stay behind. */
const unpackArgs = (directory: string): string[] => ['-x', '-f', '-', '--no-same-owner', '-C', directory];

const inPattern = (name: string) => name.replace(/[\\.*[\]^$|]/g, '\\$&');
const inReplacement = (name: string) => name.replace(/[\\&|]/g, '\\$&');

/** @returns the tar, and what rejects when it is not whole */
export function pack(path: string, name: string): { tar: Readable; done: Promise<void> } {
  const child = spawn('tar', packArgs(path, name), { stdio: ['ignore', 'pipe', 'pipe'] });
  return { tar: child.stdout, done: doneOf(child, `pack ${path}`) };
}

export async function unpack(tar: Readable, directory: string): Promise<void> {
  const child = spawn('tar', unpackArgs(directory), { stdio: ['pipe', 'ignore', 'pipe'] });
  const done = doneOf(child, `unpack into ${directory}`);
  // tar's own complaint says more than the pipe that broke.
  const [sent, unpacked] = await Promise.allSettled([pipeline(tar, child.stdin as Writable), done]);
  if (sent.status === 'rejected' && sent.reason instanceof OffloadError) throw sent.reason;
  if (unpacked.status === 'rejected') throw unpacked.reason;
  if (sent.status === 'rejected') throw sent.reason;
}

async function doneOf(child: ReturnType<typeof spawn>, what: string): Promise<void> {
  let complaint = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    if (complaint.length < MAX_COMPLAINT_BYTES) complaint += chunk.toString();
  });
  const started = once(child, 'close').catch((error: Error) => {
    throw new OffloadError('runtime_failed', `${what}: tar: ${error.message}`, { cause: error });
  });
  const [code] = (await started) as [number | null];
  if (code === 0) return;
  throw new OffloadError('runtime_failed', `${what}: ${complaint.trim().slice(-400) || 'tar was ended'}`);
}
