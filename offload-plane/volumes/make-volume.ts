/** A new volume's files: the block image with an empty file system, and the record of it. */
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { syncPath, writeSynced } from '../images/durable-file.ts';
import type { RunTool } from '../images/run-tool.ts';
import { VOLUME_BLOCK_BYTES } from './limits.ts';
import { DATA_FILE, RECORD_FILE, type StoredVolume } from './volume-record.ts';

/**
 * Nothing is zeroed or left to be zeroed by the guest: the file reads as zeros as it is. Without `nodiscard`
 * mke2fs would give back what was reserved. No blocks are kept for root: every user of the guest's kernel
 * that gets there is root.
 */
function mke2fsArgv(path: string): string[] {
  return [
    ...['-q', '-F', '-t', 'ext4'],
    ...['-b', String(VOLUME_BLOCK_BYTES), '-m', '0'],
    ...['-E', 'nodiscard,lazy_itable_init=0,assume_storage_prezeroed=1,root_owner=0:0'],
    path,
  ];
}

export async function makeVolume(
  directory: string,
  volume: StoredVolume,
  { run, timeoutMs }: { run: RunTool; timeoutMs: number },
): Promise<void> {
  const path = join(directory, DATA_FILE);
  const file = await open(path, 'wx', 0o600);
  try {
    await file.truncate(volume.sizeBytes);
  } finally {
    await file.close();
  }
  if (volume.reserved) {
    await run('fallocate', ['--length', String(volume.sizeBytes), path], { timeoutMs });
  }
  await run('mke2fs', mke2fsArgv(path), { timeoutMs });
  await syncPath(path);
  await writeSynced(join(directory, RECORD_FILE), `${JSON.stringify(volume, undefined, 2)}\n`);
}
