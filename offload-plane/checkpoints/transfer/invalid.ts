import { OffloadError } from '../../../platform/errors.ts';
import { printable } from '../../images/entry-path.ts';

/** A tar that is no checkpoint, by what in it is wrong. */
export function invalidTransfer(entry: string, what: string): OffloadError {
  return new OffloadError('invalid_checkpoint', `import checkpoint: ${printable(entry)} ${what}`);
}
