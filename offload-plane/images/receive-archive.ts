/** A tar that somebody sends, written to a file of ours within the limits. */
import { createWriteStream } from 'node:fs';
import { type Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { OffloadError } from '../../platform/errors.ts';
import type { ImportContext } from './import-image.ts';

/** @throws {OffloadError} invalid_image when it is longer than an image may be */
export async function receiveArchive(body: Readable, path: string, context: ImportContext): Promise<void> {
  const { subject, limits, signal, onProgress } = context;
  let doneBytes = 0;
  const meter = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      doneBytes += chunk.length;
      onProgress({ phase: 'upload', doneBytes });
      if (doneBytes <= limits.imageBytesMax) return done(null, chunk);
      const message = `${subject}: more than ${limits.imageBytesMax} bytes`;
      return done(new OffloadError('invalid_image', message));
    },
  });
  try {
    await pipeline(body, meter, createWriteStream(path, { flags: 'wx', mode: 0o600 }), { signal });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_STREAM_PREMATURE_CLOSE') throw error;
    throw new OffloadError('invalid_request', `${subject}: the tar broke off after ${doneBytes} bytes`, {
      cause: error,
    });
  }
}
