/** Whatever ends an import, as one error that names it. */
import { OffloadError, toOffloadError } from '../../platform/errors.ts';

/** The reason of an abort says more than the abort; a full disk has a code of its own. */
export function importError(error: unknown, subject: string, signal: AbortSignal): OffloadError {
  if (signal.aborted) {
    const reason: unknown = signal.reason;
    return reason instanceof OffloadError
      ? reason
      : new OffloadError('cancelled', `${subject}: it was cancelled`);
  }
  if (error instanceof OffloadError) {
    return error.message.startsWith(subject)
      ? error
      : new OffloadError(error.code, `${subject}: ${error.message}`, { cause: error });
  }
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'ENOSPC') return new OffloadError('no_space', `${subject}: ${message}`, { cause: error });
  return toOffloadError(error, subject);
}
