/**
 * The page store: <directory>/checkpoints/<id>/ holds what is whole, <directory>/incoming/<id>/ what is
 * being written. One process owns a store at a time.
 */
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { OffloadError } from '../../platform/errors.ts';
import { type CheckpointFiles, openCheckpointFiles, readManifest } from './checkpoint-files.ts';
import type {
  CheckpointManifest,
  CheckpointReader,
  CheckpointWriter,
  PageStore,
  PageStoreOptions,
  StoreLimits,
} from './contract.ts';
import { syncDirectory, toStoreError } from './durable.ts';
import { DEFAULT_LIMITS } from './limits.ts';
import { assertCheckpointId } from './names.ts';
import { Quota, QuotaShare } from './quota.ts';
import { StoreReader } from './reader.ts';
import { createWriter } from './writer.ts';

/** Opens a store, making its directories; what writers left half done in an earlier life is removed. */
export async function openPageStore(options: PageStoreOptions): Promise<PageStore> {
  const store = new DirectoryPageStore(options);
  await store.recover();
  return store;
}

interface OpenCheckpoint {
  files: Promise<CheckpointFiles>;
  readerCount: number;
}

class DirectoryPageStore implements PageStore {
  leftoversRemoved = 0;
  readonly #checkpoints: string;
  readonly #incoming: string;
  readonly #options: PageStoreOptions;
  readonly #limits: StoreLimits;
  readonly #quota: Quota;
  readonly #writers = new Map<string, CheckpointWriter | undefined>();
  readonly #open = new Map<string, OpenCheckpoint>();
  readonly #readers = new Set<CheckpointReader>();
  #closed = false;

  constructor(options: PageStoreOptions) {
    this.#options = options;
    this.#checkpoints = join(options.directory, 'checkpoints');
    this.#incoming = join(options.directory, 'incoming');
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.#quota = new Quota(options.quotaBytes);
  }

  get usedBytes(): number {
    return this.#quota.usedBytes;
  }

  async recover(): Promise<void> {
    try {
      await mkdir(this.#checkpoints, { recursive: true });
      await mkdir(this.#incoming, { recursive: true });
      for (const name of await readdir(this.#incoming)) {
        await rm(join(this.#incoming, name), { recursive: true, force: true });
        this.leftoversRemoved++;
      }
    } catch (error) {
      throw toStoreError(error, 'page store open', this.#options.directory);
    }
    if (this.leftoversRemoved > 0) {
      const { leftoversRemoved } = this;
      this.#options.logger?.warn({ leftoversRemoved }, 'page store: removed half-written checkpoints');
    }
    for (const manifest of await this.#scan()) this.#quota.count(manifest.storedBytes);
  }

  async list(): Promise<CheckpointManifest[]> {
    this.#assertOpen('list');
    return await this.#scan();
  }

  async begin(id: string): Promise<CheckpointWriter> {
    this.#assertOpen('begin');
    assertCheckpointId('page store begin', id);
    const destination = join(this.#checkpoints, id);
    if (this.#writers.has(id) || (await exists(destination)) || this.#writers.has(id)) {
      throw new OffloadError('already_exists', `page store begin: checkpoint ${id} is there already`);
    }
    this.#writers.set(id, undefined);
    const quota = new QuotaShare(this.#quota);
    const directory = join(this.#incoming, id);
    try {
      const writer = await createWriter({
        id,
        directory,
        destination,
        limits: this.#limits,
        quota,
        onEnd: () => this.#writers.delete(id),
      });
      this.#writers.set(id, writer);
      return writer;
    } catch (error) {
      this.#writers.delete(id);
      await rm(directory, { recursive: true, force: true }).catch(() => {});
      throw toStoreError(error, 'page store begin', id);
    }
  }

  async open(id: string): Promise<CheckpointReader> {
    this.#assertOpen('open');
    assertCheckpointId('page store open', id);
    if (!(await exists(join(this.#checkpoints, id)))) throw this.#absent('open', id);
    const shared = this.#open.get(id) ?? this.#openFiles(id);
    shared.readerCount++;
    try {
      const reader = new StoreReader(await shared.files, () => this.#release(id, shared, reader));
      this.#readers.add(reader);
      return reader;
    } catch (error) {
      shared.readerCount--;
      if (this.#open.get(id) === shared) this.#open.delete(id);
      throw toStoreError(error, 'page store open', id);
    }
  }

  async remove(id: string): Promise<void> {
    this.#assertOpen('remove');
    assertCheckpointId('page store remove', id);
    const directory = join(this.#checkpoints, id);
    if (!(await exists(directory))) throw this.#absent('remove', id);
    const manifest = await readManifest(directory, id).catch(() => undefined);
    if (this.#open.has(id)) {
      throw new OffloadError('invalid_state', `page store remove: checkpoint ${id} is being read`);
    }
    // Out of sight in one step: a crash in the middle leaves a leftover, not half a checkpoint.
    const leaving = join(this.#incoming, `.removing-${id}`);
    await rename(directory, leaving);
    await syncDirectory(this.#checkpoints);
    await rm(leaving, { recursive: true, force: true });
    if (manifest !== undefined) this.#quota.give(manifest.storedBytes);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#writers.values()].map((writer) => writer?.abort()));
    await Promise.all([...this.#readers].map((reader) => reader.close()));
  }

  #openFiles(id: string): OpenCheckpoint {
    const shared = { files: openCheckpointFiles(join(this.#checkpoints, id), id), readerCount: 0 };
    this.#open.set(id, shared);
    return shared;
  }

  async #release(id: string, shared: OpenCheckpoint, reader: CheckpointReader): Promise<void> {
    this.#readers.delete(reader);
    shared.readerCount--;
    if (shared.readerCount > 0) return;
    if (this.#open.get(id) === shared) this.#open.delete(id);
    await (await shared.files).pages.close();
  }

  async #scan(): Promise<CheckpointManifest[]> {
    const manifests: CheckpointManifest[] = [];
    for (const id of await readdir(this.#checkpoints)) {
      try {
        manifests.push(await readManifest(join(this.#checkpoints, id), id));
      } catch (error) {
        this.#options.logger?.warn({ id, error }, 'page store: checkpoint left out of the list');
      }
    }
    return manifests.sort((a, b) => (a.createdAt < b.createdAt ? -1 : 1));
  }

  #absent(operation: string, id: string): OffloadError {
    if (this.#writers.has(id)) {
      return new OffloadError(
        'incomplete_checkpoint',
        `page store ${operation}: checkpoint ${id} is still being written and has no manifest.json`,
      );
    }
    return new OffloadError('not_found', `page store ${operation}: no checkpoint ${id}`);
  }

  #assertOpen(operation: string): void {
    if (this.#closed) throw new OffloadError('invalid_state', `page store ${operation}: the store is closed`);
  }
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}
