/** What a finished checkpoint says of itself: index, checksums, and the manifest over all of it. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { CheckpointManifest, StoredFile } from './contract.ts';
import { replaceFile } from './durable.ts';
import type { StoreFileSystem } from './file-system.ts';
import { compareTargets, encodeIndex, normaliseSegments } from './index-format.ts';
import { FORMAT_VERSION } from './manifest.ts';
import { CHECKSUMS, INDEX } from './names.ts';
import type { PageAppender } from './page-appender.ts';

/** `digest`: the memory's, over both. @throws {OffloadError} page_protocol_violation: a page came twice */
export async function writeIndexFiles(
  fs: StoreFileSystem,
  directory: string,
  appender: PageAppender,
  id: string,
): Promise<{ digest: string; files: Record<string, StoredFile> }> {
  const segments = normaliseSegments(appender.segments, id);
  const targets = appender.targets.sort(compareTargets);
  const { checksums, origins, storedPageCount } = appender;
  const index = encodeIndex({ targets, segments, origins, storedPageCount });
  const checksumBytes = Buffer.from(checksums.buffer, checksums.byteOffset, checksums.byteLength);
  const files: Record<string, StoredFile> = {};
  for (const [name, bytes] of [
    [INDEX, index],
    [CHECKSUMS, checksumBytes],
  ] as const) {
    await replaceFile(fs, join(directory, name), bytes);
    files[name] = { bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') };
  }
  return { digest: createHash('sha256').update(index).update(checksumBytes).digest('hex'), files };
}

export interface CheckpointFacts {
  id: string;
  digest: string;
  tenant: string | undefined;
  parent: string | undefined;
  /** Its own. */
  files: Record<string, StoredFile>;
  /** Those that were another checkpoint's first. */
  shared: Record<string, StoredFile>;
  meta: object;
}

export function describeCheckpoint(appender: PageAppender, facts: CheckpointFacts): CheckpointManifest {
  const { storedPageCount, ownPageCount, zeroPageCount } = appender;
  const { id, digest, tenant, parent, files, shared, meta } = facts;
  return {
    formatVersion: FORMAT_VERSION,
    id,
    createdAt: new Date().toISOString(),
    pageCount: storedPageCount + zeroPageCount,
    zeroPageCount,
    sharedPageCount: storedPageCount - ownPageCount,
    storedBytes: Object.values(files).reduce((sum, file) => sum + file.bytes, 0),
    digest,
    files: { ...files, ...shared },
    ...(tenant === undefined ? {} : { tenant }),
    ...(parent === undefined ? {} : { parent }),
    meta,
  };
}
