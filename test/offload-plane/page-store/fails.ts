/** Expects an OffloadError of a code, with a message that says what it should. */
import * as assert from 'uvu/assert';
import { type ErrorCode, OffloadError } from '../../../platform/errors.ts';

export async function fails(code: ErrorCode, pattern: RegExp, act: () => unknown): Promise<void> {
  try {
    await act();
  } catch (error) {
    assert.instance(error, OffloadError, String((error as Error).stack));
    assert.is((error as OffloadError).code, code, (error as Error).message);
    assert.match((error as Error).message, pattern);
    return;
  }
  assert.unreachable(`expected ${code}`);
}
