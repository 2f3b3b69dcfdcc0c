/** What a writer may refer to instead of storing: pages of its parent and of other checkpoints of its tenant. */
import { join } from 'node:path';
import { type CheckpointFiles, closeCheckpointFiles, openCheckpointFiles } from './checkpoint-files.ts';
import type { BeginOptions, StoreLimits } from './contract.ts';
import type { StoreFileSystem } from './file-system.ts';
import { Inheritance } from './inheritance.ts';
import { type KnownCheckpoint, KnownPages } from './known-pages.ts';
import { SharedFiles } from './shared-files.ts';

/** Checkpoints of a tenant that are searched for equal pages, and pages of all of them: 64 MiB of table. */
const MAX_KNOWN_CHECKPOINTS = 8;
const MAX_KNOWN_PAGES = 1 << 22;

export interface SourcesOptions extends BeginOptions {
  fs: StoreFileSystem;
  /** checkpoints/ */
  checkpoints: string;
  /** Of the writer, where links go. */
  directory: string;
  /** Ids of the tenant's checkpoints, those to prefer first. */
  known: readonly string[];
  limits: StoreLimits;
}

export interface WriterSources {
  shared: SharedFiles;
  known: KnownPages | undefined;
  inheritance: Inheritance | undefined;
  close(): Promise<void>;
}

/** @throws {OffloadError} when the parent cannot be opened; another checkpoint that cannot is left out */
export async function openSources(options: SourcesOptions): Promise<WriterSources> {
  const { fs, checkpoints, parent } = options;
  const opened: CheckpointFiles[] = [];
  let knownPages: KnownPages | undefined;
  const close = async () => {
    await knownPages?.settle();
    await Promise.allSettled(opened.splice(0).map(closeCheckpointFiles));
  };
  const shared = new SharedFiles(fs, options.directory);
  const adopt = async (id: string): Promise<KnownCheckpoint> => {
    const files = await openCheckpointFiles(fs, join(checkpoints, id), id);
    opened.push(files);
    return { files, numbers: await shared.adopt(files) };
  };
  try {
    const inherited = parent === undefined ? undefined : await adopt(parent);
    const known = inherited === undefined || options.tenant === undefined ? [] : [inherited];
    let pageCount = inherited?.files.checksums.length ?? 0;
    for (const id of options.known) {
      if (known.length >= MAX_KNOWN_CHECKPOINTS) break;
      if (id === parent) continue;
      const candidate = await adopt(id).catch(() => undefined);
      pageCount += candidate?.files.checksums.length ?? 0;
      if (pageCount > MAX_KNOWN_PAGES) break;
      if (candidate !== undefined) known.push(candidate);
    }
    if (known.length > 0) knownPages = new KnownPages(known, shared);
    return {
      shared,
      known: knownPages,
      inheritance:
        inherited &&
        new Inheritance({
          parent: inherited.files,
          numbers: inherited.numbers,
          shared,
          mode: options.inherit ?? 'rest',
          maxRangeCount: options.limits.maxSegmentCount,
        }),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}
