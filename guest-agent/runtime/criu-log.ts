/** Why CRIU failed: the last errors of its log say it better than crun does. */
import { readFile } from 'node:fs/promises';
import { OffloadError } from '../../platform/errors.ts';

const SHOWN_ERRORS = 3;

/** Refusals that CRIU words for whoever wrote it, and what they mean to whoever asked. */
const REFUSALS: readonly [said: string, meaning: string][] = [
  [
    'ctty inheritance detected',
    'a job has the foreground of its terminal while its shell holds /dev/tty open, which CRIU does not dump; end the job, or suspend it (Ctrl-Z)',
  ],
];

/** An error that carries CRIU's own words when its log has any. */
export async function criuFailure(operation: string, logPath: string, error: unknown): Promise<OffloadError> {
  const log = await readFile(logPath, 'utf8').catch(() => '');
  const errors = log
    .split('\n')
    .filter((line) => line.includes('Error ('))
    .map((line) => line.replace(/^\(\d+\.\d+\)\s*/, '').trim())
    .slice(-SHOWN_ERRORS);
  const refusal = REFUSALS.find(([said]) => errors.some((line) => line.includes(said)));
  if (refusal) return new OffloadError('invalid_state', `${operation}: ${refusal[1]}`, { cause: error });
  const code = error instanceof OffloadError ? error.code : 'runtime_failed';
  const said = error instanceof Error ? error.message : String(error);
  const cause = errors.length > 0 ? errors.join('; ') : said;
  return new OffloadError(code, `${operation}: ${cause}`, { cause: error });
}
