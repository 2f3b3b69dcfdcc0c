/** Attaches this program's terminal to a container, and leaves with the exit code of what ran there. */
import type { PlaneClient } from '../../client/index.ts';
import { runSession, type SessionEnd, type SessionOptions } from './session.ts';

/**
 * With `onJoined` to start the container, nothing of its output is missed.
 * @throws {OffloadError} when the container cannot be attached to, or its guest is lost
 */
export async function runTerminal(
  client: PlaneClient,
  container: string,
  options: SessionOptions,
): Promise<SessionEnd> {
  return runSession(await client.stdio.attach(container), options);
}

/** What this program exits with: the exit code there; 0 for one that was left running. */
export const exitCodeOf = (end: SessionEnd): number => ('exitCode' in end ? end.exitCode : 0);
