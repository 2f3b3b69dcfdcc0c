/** What an exec and its conmon leave in the exec's directory, for the next agent as well. */
import { readFile } from 'node:fs/promises';
import type { StdioEnd } from '../../interconnect/stdio-frames.ts';
import { pollUntil } from '../../platform/deadline.ts';
import { OffloadError } from '../../platform/errors.ts';
import { processNamed } from '../process-name.ts';
import type { execPaths } from '../runtime/conmon-exec.ts';

/** From the end of an agent to the start of what it was starting. */
const START_TIMEOUT_MS = 10_000;
/** conmon leaves the exit code right after it has closed its sockets. */
const EXIT_CODE_TIMEOUT_MS = 10_000;

/** What the next agent has to know, as a file. */
export interface ExecRecord {
  readonly command: string[];
  readonly terminal: boolean;
  /** The id of the request it was made by. */
  readonly request?: string | undefined;
}

/**
 * Of one that was being started when the agent ended: conmon goes on without an agent.
 * @throws {OffloadError} when conmon has gone without having started anything
 */
export async function pidOf(own: ReturnType<typeof execPaths>): Promise<number> {
  const read = async (file: string) => Number(await readFile(file, 'utf8').catch(() => '')) || undefined;
  const look = async () => {
    const monitor = await read(own.conmonPidFile);
    const isGone = monitor !== undefined && processNamed(monitor) === undefined;
    return (await read(own.pidFile)) ?? (isGone ? 0 : undefined);
  };
  const options = { timeoutMs: START_TIMEOUT_MS, intervalMs: 20, what: 'start of an exec' };
  const pid = await pollUntil(look, options);
  if (pid > 0) return pid;
  throw new OffloadError('runtime_failed', 'start of an exec: its monitor has gone');
}

export async function readExit(path: string): Promise<StdioEnd | undefined> {
  const text = await readFile(path, 'utf8').catch(() => '');
  return /^-?\d+$/.test(text) ? { exitCode: Number(text) } : undefined;
}

export async function endOf(find: () => Promise<StdioEnd | undefined>): Promise<StdioEnd> {
  try {
    return await pollUntil(find, {
      timeoutMs: EXIT_CODE_TIMEOUT_MS,
      intervalMs: 5,
      what: 'exit code of an exec',
    });
  } catch {
    return { error: 'its monitor ended without an exit code' };
  }
}
