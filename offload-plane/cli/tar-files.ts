/** Tars that people name as files, or send and take by standard input and output. */
import { createReadStream, createWriteStream, statSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import type { Duplex, Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { OffloadError, toOffloadError } from '../../platform/errors.ts';

/** @param file nothing or `-` is standard input */
export function tarFrom(file: string | undefined): { tar: Readable; totalBytes?: number } {
  if (file === undefined || file === '-') return { tar: process.stdin };
  const stat = statSync(file, { throwIfNoEntry: false });
  if (!stat) throw new OffloadError('not_found', `read ${file}: there is no such file`);
  return { tar: createReadStream(file), ...(stat.isFile() ? { totalBytes: stat.size } : {}) };
}

/** @throws {OffloadError} invalid_request: nobody reads a tar on a screen */
export function expectNoTerminal(operation: string, instead: string): void {
  if (!process.stdout.isTTY) return;
  throw new OffloadError('invalid_request', `${operation}: a terminal cannot take a tar; ${instead}`);
}

/**
 * What is half written has another name, and goes: it looks like what was asked for, and is not.
 * @param file nothing is standard output
 */
export async function saveTar(
  [tar, counted]: [Readable, Duplex],
  file: string | undefined,
  cancel: AbortSignal | undefined,
): Promise<void> {
  const interrupt = new AbortController();
  const onInterrupt = () => interrupt.abort();
  const signal = AbortSignal.any([interrupt.signal, ...(cancel ? [cancel] : [])]);
  const half = `${file}.part`;
  for (const name of ['SIGINT', 'SIGTERM']) process.on(name, onInterrupt);
  try {
    if (file === undefined) return await pipeline(tar, counted, process.stdout, { signal });
    await pipeline(tar, counted, createWriteStream(half, { mode: 0o600 }), { signal });
    await rename(half, file);
  } catch (error) {
    if (file !== undefined) await rm(half, { force: true });
    if (signal.aborted) throw new OffloadError('cancelled', 'export checkpoint: it was cancelled');
    throw toOffloadError(error, `export checkpoint to ${file ?? 'standard output'}`);
  } finally {
    for (const name of ['SIGINT', 'SIGTERM']) process.off(name, onInterrupt);
  }
}
