/**
 * Where things live that survive a checkout: the guest image, the tools, the verdict on the accelerator.
 */
import { homedir } from 'node:os';
import { join } from 'node:path';

/** `${XDG_CACHE_HOME:-~/.cache}/offload-plane`: a fresh clone finds here what an older one has built. */
export function cacheDirectory(env: NodeJS.ProcessEnv = process.env): string {
  return join(env.XDG_CACHE_HOME || join(env.HOME || homedir(), '.cache'), 'offload-plane');
}

/** One line of progress for whoever waits. */
export type Progress = (line: string) => void;
