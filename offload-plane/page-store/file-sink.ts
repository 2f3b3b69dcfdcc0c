/** Writes a stream into a file with a byte limit, a quota and a deadline for every wait. */
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { OffloadError } from '../../platform/errors.ts';
import type { StoredFile } from './contract.ts';
import { removeTree, writeFully } from './durable.ts';
import type { StoreFileSystem } from './file-system.ts';
import type { QuotaShare } from './quota.ts';

export interface SinkOptions {
  fs: StoreFileSystem;
  path: string;
  /** For messages: which file of which checkpoint. */
  subject: string;
  limitBytes: number;
  quota: QuotaShare;
  idleMs: number;
}

/** The file is synced when this resolves; when it rejects, the file and its share of the quota are gone. */
export async function writeSource(source: Readable | Buffer, options: SinkOptions): Promise<StoredFile> {
  const stream = source instanceof Readable ? source : Readable.from([source]);
  const digest = createHash('sha256');
  let bytes = 0;
  const stopWatching = destroyWhenIdle(stream, options);
  try {
    const file = await options.fs.open(options.path, 'wx');
    try {
      for await (const chunk of stream) {
        stopWatching.touch();
        const data = typeof chunk === 'string' ? Buffer.from(chunk) : (chunk as Buffer);
        if (bytes + data.length > options.limitBytes) throw tooLarge(options);
        options.quota.take(data.length, options.subject);
        const position = bytes;
        bytes += data.length;
        digest.update(data);
        await writeFully(file, data, position);
      }
      await file.sync();
    } finally {
      await file.close();
    }
    return { bytes, sha256: digest.digest('hex') };
  } catch (error) {
    options.quota.give(bytes);
    stream.destroy();
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') await removeTree(options.fs, options.path);
    throw error;
  } finally {
    stopWatching.stop();
  }
}

function tooLarge(options: SinkOptions): OffloadError {
  return new OffloadError(
    'no_space',
    `page store ${options.subject}: larger than its limit of ${options.limitBytes} bytes`,
  );
}

function destroyWhenIdle(stream: Readable, options: SinkOptions): { touch(): void; stop(): void } {
  const timer = setTimeout(() => {
    stream.destroy(
      new OffloadError(
        'deadline_exceeded',
        `page store ${options.subject}: source gave no byte for ${options.idleMs} ms`,
      ),
    );
  }, options.idleMs);
  return { touch: () => timer.refresh(), stop: () => clearTimeout(timer) };
}
