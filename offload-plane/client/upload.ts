/** A tar on its way to the plane, counted. */
import { Transform, type TransformCallback } from 'node:stream';
import { MIB } from '../../platform/units.ts';
import type { OperationProgress } from '../operations/operation.ts';

/** Passes everything on, and tells of each whole MiB. */
export function meter(
  verb: string,
  totalBytes: number | undefined,
  tell: (progress: OperationProgress) => void,
): Transform {
  let doneBytes = 0;
  let told = -1;
  return new Transform({
    transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback) {
      doneBytes += chunk.length;
      const whole = Math.floor(doneBytes / MIB);
      if (whole > told) tell(progressOf(verb, whole, doneBytes, totalBytes));
      told = whole;
      done(null, chunk);
    },
  });
}

function progressOf(
  verb: string,
  whole: number,
  doneBytes: number,
  totalBytes: number | undefined,
): OperationProgress {
  if (!totalBytes) return { text: `${verb}: ${whole} MiB` };
  const text = `${verb}: ${whole} of ${Math.ceil(totalBytes / MIB)} MiB`;
  return { text, fraction: Math.min(1, doneBytes / totalBytes) };
}
