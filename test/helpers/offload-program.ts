/** The program `offload`, run as a user runs it. */
import { join } from 'node:path';
import { execa } from 'execa';
import { tempDirectory } from './temp-directory.ts';

export const OFFLOAD_PROGRAM = join(import.meta.dirname, '../../testbed/cli/main.ts');
/** Several at once on a busy machine. */
export const OFFLOAD_TIMEOUT_MS = 300_000;
/** Compiled once, started often. */
export const NODE_COMPILE_CACHE = tempDirectory('compiled');

/** Nothing that whoever runs the tests has set for his own planes decides which one is asked. */
const ownPlanes = Object.fromEntries(
  Object.keys(process.env)
    .filter((name) => name.startsWith('OFFLOAD_'))
    .map((name) => [name, undefined]),
);

/** To its end, whatever its exit code is. */
export const offload = (args: readonly string[], env: Record<string, string> = {}) =>
  execa(process.execPath, [OFFLOAD_PROGRAM, ...args], {
    reject: false,
    timeout: OFFLOAD_TIMEOUT_MS,
    env: { ...ownPlanes, FORCE_COLOR: '0', NODE_COMPILE_CACHE, ...env },
  });
