/** What a tar with images is: an OCI layout, or what `docker save` made before it made layouts. */
import { createReadStream } from 'node:fs';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { Value } from 'typebox/value';
import { readTar } from '../../platform/read-tar.ts';
import { DockerManifest, usableNames } from './archive-names.ts';
import { entrySegments } from './entry-path.ts';
import type { ImageLimits } from './limits.ts';

/** Docker's with the names that it gives its image; they are used only when there is no more than one. */
export type ArchiveKind = { kind: 'oci' } | { kind: 'docker'; names: string[] };

/** Reads up to what settles it. A tar that is broken is left to whoever reads it for its content. */
export async function archiveKind(
  tarPath: string,
  { limits, signal }: { limits: ImageLimits; signal: AbortSignal },
): Promise<ArchiveKind> {
  const entries = readTar();
  const feeding = pipeline(createReadStream(tarPath), entries, { signal }).catch(() => undefined);
  let docker: Buffer | undefined;
  let entryCount = 0;
  try {
    for await (const entry of entries) {
      entryCount += 1;
      if (entryCount > limits.layoutEntryCountMax) break;
      const name = entrySegments(entry.header.name)?.join('/');
      if (name === 'oci-layout') return { kind: 'oci' };
      if (name === 'manifest.json' && entry.header.size <= limits.jsonBlobBytesMax) {
        docker = await buffer(entry as AsyncIterable<Buffer>);
      } else {
        entry.resume();
      }
    }
  } catch {
    return { kind: 'oci' };
  } finally {
    entries.destroy();
    await feeding;
  }
  return docker === undefined ? { kind: 'oci' } : { kind: 'docker', names: namesIn(docker) };
}

function namesIn(manifestJson: Buffer): string[] {
  let manifest: unknown;
  try {
    manifest = JSON.parse(manifestJson.toString('utf8'));
  } catch {
    return [];
  }
  if (!Value.Check(DockerManifest, manifest) || manifest.length !== 1) return [];
  return usableNames(manifest[0]?.RepoTags ?? []);
}
