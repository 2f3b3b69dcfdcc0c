/** A tar on its way to a client, as an operation: it tells how far it is, and can be cancelled. */
import { type Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { OffloadError } from '../../platform/errors.ts';
import { byteProgress } from '../checkpoints/cancellation.ts';
import type { OperationView } from '../operations/operation.ts';
import type { OperationRequest, Operations } from '../operations/operations.ts';

interface FollowedTar {
  operation: OperationView;
  /** Breaks off when the operation is cancelled or the tar fails. */
  stream: Readable;
}

export function followTar(
  operations: Operations,
  what: OperationRequest,
  { tar, totalBytes }: { tar: Readable; totalBytes: number },
): FollowedTar {
  let count = (_bytes: number): void => {};
  const stream = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      count(chunk.length);
      done(null, chunk);
    },
  });
  try {
    const { operation } = operations.start(what, async ({ signal, progress }) => {
      count = byteProgress({ progress }, 'sending', totalBytes);
      await pipeline(tar, stream, { signal }).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ERR_STREAM_PREMATURE_CLOSE') throw error;
        throw new OffloadError('cancelled', `${what.kind} ${what.subject}: its receiver hung up`, {
          cause: error,
        });
      });
    });
    return { operation, stream };
  } catch (error) {
    tar.destroy();
    throw error;
  }
}
