/** What crun said when it could not start a program, as the error it is. */
import { type ErrorCode, OffloadError } from '../../platform/errors.ts';

const KINDS: readonly [said: RegExp, code: ErrorCode][] = [
  [/executable file .* not found/i, 'program_not_found'],
  [/is not executable|is not a regular file|exec format error/i, 'program_not_executable'],
];

export function runtimeFailure(said: string): OffloadError {
  const [, code] = KINDS.find(([pattern]) => pattern.test(said)) ?? [];
  return new OffloadError(code ?? 'runtime_failed', said);
}
