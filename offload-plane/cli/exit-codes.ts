/** Exit codes of verbs that pass on the one of what they run, as Docker has them. */
import type { Command } from 'commander';
import { type ErrorCode, OffloadError } from '../../platform/errors.ts';
import { CliFailure } from './context.ts';

/** The failure is the plane's or ours, not the contained process's. */
const PLANE_FAILED = 125;
const OF_PROGRAM: Partial<Record<ErrorCode, number>> = {
  program_not_executable: 126,
  program_not_found: 127,
};

/** Gives the verb its work; whatever fails before the program runs, wrong flags too, has an exit code of its own. */
export function exitsAsContainer<Args extends unknown[]>(
  command: Command,
  action: (...args: Args) => Promise<void>,
): void {
  command.exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : PLANE_FAILED));
  command.action(async (...args) => {
    try {
      await action(...(args as unknown as Args));
    } catch (error) {
      const code = error instanceof OffloadError ? OF_PROGRAM[error.code] : undefined;
      throw new CliFailure(error as Error, code ?? PLANE_FAILED);
    }
  });
}
