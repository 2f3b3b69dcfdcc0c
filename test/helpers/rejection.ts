/** What a promise was rejected with; a promise that resolves fails the test. */
import { OffloadError } from '../../platform/errors.ts';

export async function rejection(promise: Promise<unknown>): Promise<OffloadError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof OffloadError) return error;
    throw new Error(`expected an OffloadError, got ${String(error)}`, { cause: error });
  }
  throw new Error('expected a rejection');
}

/** The same of any error: its message. */
export async function failure(promise: Promise<unknown>): Promise<string> {
  return await promise.then(
    () => {
      throw new Error('expected a rejection');
    },
    (error: Error) => error.message,
  );
}
