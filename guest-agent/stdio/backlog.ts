/** The last output of a container or exec, bounded, for whoever attaches later. */
import type { OutputStream } from '../runtime/attach-socket.ts';

export interface OutputChunk {
  stream: OutputStream;
  bytes: Buffer;
}

export function createBacklog(limitBytes: number) {
  const chunks: OutputChunk[] = [];
  let totalBytes = 0;
  return {
    add(stream: OutputStream, bytes: Buffer): void {
      // A copy: a view would keep the buffer it was received in.
      chunks.push({ stream, bytes: Buffer.from(bytes) });
      totalBytes += bytes.length;
      while (totalBytes - (chunks[0]?.bytes.length ?? 0) >= limitBytes) {
        totalBytes -= chunks.shift()?.bytes.length ?? 0;
      }
    },
    /** The last `wantedBytes` of what was kept, in order. */
    last(wantedBytes: number): OutputChunk[] {
      let surplus = totalBytes - Math.min(wantedBytes, limitBytes);
      const wanted: OutputChunk[] = [];
      for (const { stream, bytes } of chunks) {
        const kept = surplus > 0 ? bytes.subarray(surplus) : bytes;
        surplus -= bytes.length;
        if (kept.length > 0) wanted.push({ stream, bytes: kept });
      }
      return wanted;
    },
  };
}
