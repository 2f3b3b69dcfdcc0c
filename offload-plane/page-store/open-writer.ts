/** Begins a checkpoint: its directory, what it may refer to, and its part of the quota. */
import { join } from 'node:path';
import type { Catalog } from './catalog.ts';
import type { BeginOptions, CheckpointManifest, CheckpointWriter, StoreLimits } from './contract.ts';
import { removeTree } from './durable.ts';
import type { StoreFileSystem } from './file-system.ts';
import { type Quota, QuotaShare } from './quota.ts';
import type { Room } from './room.ts';
import { createWriter } from './writer.ts';
import { openSources, type WriterSources } from './writer-sources.ts';

export interface WriterContext {
  fs: StoreFileSystem;
  checkpoints: string;
  incoming: string;
  limits: StoreLimits;
  catalog: Catalog;
  quota: Quota;
  room: Room;
  /** Once, when the writer has committed or is gone. */
  onEnd(): void;
}

/** Fails without a trace. */
export async function openWriter(
  id: string,
  options: BeginOptions,
  context: WriterContext,
): Promise<CheckpointWriter> {
  const { fs, catalog, checkpoints, limits } = context;
  const directory = join(context.incoming, id);
  // What it links counts as used, so that nothing it refers to is evicted. No checkpoint id has a slash.
  const ledgerOwner = `incoming/${id}`;
  const quota = new QuotaShare(context.quota);
  let sources: WriterSources | undefined;
  const onEnd = async (manifest: CheckpointManifest | undefined) => {
    await sources?.close();
    if (manifest !== undefined) await catalog.add(id, manifest);
    catalog.ledger.remove(ledgerOwner);
    quota.giveAll();
    context.onEnd();
  };
  try {
    await fs.mkdir(directory);
    const known = catalog.ofTenant(options.tenant);
    sources = await openSources({ ...options, fs, checkpoints, directory, known, limits });
    catalog.ledger.set(ledgerOwner, sources.shared.uses);
    return await createWriter({
      fs,
      id,
      tenant: options.tenant,
      directory,
      destination: join(checkpoints, id),
      limits,
      quota,
      sources,
      makeRoom: (bytes) => context.room.reserve(quota, bytes, id),
      onEnd,
    });
  } catch (error) {
    await onEnd(undefined);
    await removeTree(fs, directory);
    throw error;
  }
}
