/** Where the sockets of what runs on this machine are. */
import { accessSync, constants } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { OffloadError } from './errors.ts';

/**
 * Below it are the runs of testbeds, and what `offload up` has brought up: `$OFFLOAD_RUN_DIRECTORY`, or one
 * in /run when that may be written, else in the temporary directory. Kept short for sockets.
 */
export function runsDirectory(env: NodeJS.ProcessEnv = process.env): string {
  if (env.OFFLOAD_RUN_DIRECTORY) return env.OFFLOAD_RUN_DIRECTORY;
  for (const parent of ['/run', tmpdir()]) {
    try {
      accessSync(parent, constants.W_OK);
      return join(parent, 'offload-plane');
    } catch {}
  }
  throw new OffloadError('internal', `make run directory: neither /run nor ${tmpdir()} can be written`);
}

/** Where the plane of `offload up` listens, and where the CLI looks for one. */
export function defaultPlaneSocket(env: NodeJS.ProcessEnv = process.env): string {
  return env.OFFLOAD_SOCKET || join(runsDirectory(env), 'plane.sock');
}
