/**
 * The page store: <directory>/checkpoints/<id>/ holds what is whole, <directory>/incoming/<id>/ what is
 * being written. One process owns a store at a time, which its lock makes sure of.
 */
import { join } from 'node:path';
import { OffloadError } from '../../platform/errors.ts';
import { Catalog, type CatalogEntry } from './catalog.ts';
import { openCheckpointFiles } from './checkpoint-files.ts';
import type {
  BeginOptions,
  CheckpointManifest,
  CheckpointReader,
  CheckpointWriter,
  PageStore,
  PageStoreOptions,
  StoreFigures,
  StoreLimits,
} from './contract.ts';
import { removeTree, syncDirectory, toStoreError } from './durable.ts';
import { realFileSystem, type StoreFileSystem } from './file-system.ts';
import { DEFAULT_LIMITS } from './limits.ts';
import { lockStore, type StoreLock } from './lock.ts';
import { assertCheckpointId, assertTenant, CHECKPOINTS, INCOMING } from './names.ts';
import { OpenCheckpoints } from './open-checkpoints.ts';
import { openWriter } from './open-writer.ts';
import { Quota, QuotaShare } from './quota.ts';
import { StoreReader } from './reader.ts';
import { Room } from './room.ts';

/**
 * Opens a store, making its directories; what writers left half done in an earlier life is removed.
 * @throws {OffloadError} invalid_state when another process has it open
 */
export async function openPageStore(options: PageStoreOptions): Promise<PageStore> {
  const { directory } = options;
  const fs = options.fileSystem ?? realFileSystem;
  try {
    await fs.mkdir(directory, { recursive: true });
    const lock = await lockStore(directory);
    try {
      const store = new DirectoryPageStore(options, fs, lock);
      await store.recover();
      return store;
    } catch (error) {
      await lock.release();
      throw error;
    }
  } catch (error) {
    throw toStoreError(error, 'page store open', directory);
  }
}

class DirectoryPageStore implements PageStore {
  leftoversRemoved = 0;
  readonly #fs: StoreFileSystem;
  readonly #lock: StoreLock;
  readonly #checkpoints: string;
  readonly #incoming: string;
  readonly #options: PageStoreOptions;
  readonly #limits: StoreLimits;
  readonly #catalog: Catalog;
  readonly #quota: Quota;
  readonly #room: Room;
  readonly #writers = new Map<string, CheckpointWriter | undefined>();
  readonly #open: OpenCheckpoints;
  readonly #readers = new Set<CheckpointReader>();
  readonly #leaving = new Set<string>();
  #removalCount = 0;
  #closed = false;

  constructor(options: PageStoreOptions, fs: StoreFileSystem, lock: StoreLock) {
    this.#fs = fs;
    this.#lock = lock;
    this.#options = options;
    this.#checkpoints = join(options.directory, CHECKPOINTS);
    this.#incoming = join(options.directory, INCOMING);
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.#catalog = new Catalog(fs, this.#checkpoints, options.nowMs ?? Date.now);
    this.#quota = new Quota(this.#catalog.ledger, options.quotaBytes);
    this.#open = new OpenCheckpoints(
      (id) => openCheckpointFiles(fs, join(this.#checkpoints, id), id),
      options.keepOpenCount ?? 0,
    );
    this.#room = new Room({
      fs,
      directory: options.directory,
      catalog: this.#catalog,
      quota: this.#quota,
      isBusy: (id) => this.#open.has(id) || this.#leaving.has(id),
      remove: async (id) => {
        await this.#discard(id);
        options.onEvicted?.(id);
      },
    });
  }

  get usedBytes(): number {
    return this.#quota.usedBytes;
  }

  get figures(): StoreFigures {
    const entries = this.#catalog.entries();
    return {
      usedBytes: this.usedBytes,
      sharedBytes: this.#catalog.ledger.sharedBytes,
      checkpointCount: entries.length,
      pinnedCount: entries.filter(({ pinned }) => pinned).length,
    };
  }

  async recover(): Promise<void> {
    await this.#fs.mkdir(this.#checkpoints, { recursive: true });
    await this.#fs.mkdir(this.#incoming, { recursive: true });
    for (const name of await this.#fs.readdir(this.#incoming)) {
      await this.#fs.rm(join(this.#incoming, name), { recursive: true, force: true });
      this.leftoversRemoved++;
    }
    if (this.leftoversRemoved > 0) {
      const { leftoversRemoved } = this;
      this.#options.logger?.warn({ leftoversRemoved }, 'page store: removed half-written checkpoints');
    }
    await this.#catalog.load();
  }

  async list(): Promise<CheckpointManifest[]> {
    this.#assertOpen('list');
    return await this.#catalog.list(this.#options.logger);
  }

  async begin(id: string, options: BeginOptions = {}): Promise<CheckpointWriter> {
    this.#assertOpen('begin');
    assertCheckpointId('page store begin', id);
    if (options.tenant !== undefined) assertTenant('page store begin', options.tenant);
    const there = await this.#catalog.find(id);
    if (there !== undefined || this.#writers.has(id)) {
      throw new OffloadError('already_exists', `page store begin: checkpoint ${id} is there already`);
    }
    this.#writers.set(id, undefined);
    try {
      if (options.parent !== undefined) await this.#assertParent(options.parent, options.tenant);
      const writer = await openWriter(id, options, {
        fs: this.#fs,
        checkpoints: this.#checkpoints,
        incoming: this.#incoming,
        limits: this.#limits,
        catalog: this.#catalog,
        quota: this.#quota,
        room: this.#room,
        onEnd: () => this.#writers.delete(id),
      });
      this.#writers.set(id, writer);
      return writer;
    } catch (error) {
      this.#writers.delete(id);
      throw toStoreError(error, 'page store begin', id);
    }
  }

  async open(id: string): Promise<CheckpointReader> {
    this.#assertOpen('open');
    assertCheckpointId('page store open', id);
    await this.#expect('open', id);
    if (this.#leaving.has(id)) throw this.#absent('open', id); // meanwhile
    try {
      const { files, release } = await this.#open.acquire(id);
      const reader = new StoreReader(files, {
        hot: this.#open.hot,
        onUse: () => this.#catalog.noteUse(id),
        withRoom: (bytes, write) => this.#withRoom(id, bytes, write),
        release: async () => {
          this.#readers.delete(reader);
          await release();
        },
      });
      this.#readers.add(reader);
      return reader;
    } catch (error) {
      throw toStoreError(error, 'page store open', id);
    }
  }

  /** Something beside the checkpoint: nothing is evicted for it. */
  async #withRoom(id: string, bytes: number, write: () => Promise<void>): Promise<void> {
    const share = new QuotaShare(this.#quota);
    share.take(bytes, id);
    try {
      await write();
    } finally {
      await this.#catalog.measure(id).catch(() => undefined);
      share.giveAll();
    }
  }

  async remove(id: string): Promise<void> {
    this.#assertOpen('remove');
    assertCheckpointId('page store remove', id);
    const entry = await this.#expect('remove', id);
    if (this.#open.has(id)) {
      throw new OffloadError('invalid_state', `page store remove: checkpoint ${id} is being read`);
    }
    if (entry.pinned)
      throw new OffloadError('invalid_state', `page store remove: checkpoint ${id} is pinned`);
    await this.#discard(id);
  }

  pin(id: string): Promise<void> {
    return this.#setPinned('pin', id, true);
  }

  unpin(id: string): Promise<void> {
    return this.#setPinned('unpin', id, false);
  }

  async isPinned(id: string): Promise<boolean> {
    this.#assertOpen('inspect');
    assertCheckpointId('page store inspect', id);
    return (await this.#expect('inspect', id)).pinned;
  }

  async evict(targetBytes: number): Promise<string[]> {
    this.#assertOpen('evict');
    return await this.#room.evict(targetBytes);
  }

  async trim(): Promise<void> {
    await this.#open.trim();
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#writers.values()].map((writer) => writer?.abort()));
    await Promise.all([...this.#readers].map((reader) => reader.close()));
    await this.#open.trim();
    await this.#catalog.settle();
    await this.#lock.release();
  }

  /** Out of sight in one step: a crash in the middle leaves a leftover, not half a checkpoint. */
  async #discard(id: string): Promise<void> {
    if (this.#leaving.has(id)) throw this.#absent('remove', id);
    const leaving = join(this.#incoming, `.removing-${this.#removalCount++}-${id}`);
    this.#leaving.add(id);
    try {
      await this.#fs.rename(join(this.#checkpoints, id), leaving);
      this.#catalog.drop(id);
      await this.#open.drop(id);
      await syncDirectory(this.#fs, this.#checkpoints);
    } catch (error) {
      throw toStoreError(error, 'page store remove', id);
    } finally {
      await removeTree(this.#fs, leaving);
      this.#leaving.delete(id);
    }
  }

  async #setPinned(operation: string, id: string, pinned: boolean): Promise<void> {
    this.#assertOpen(operation);
    assertCheckpointId(`page store ${operation}`, id);
    await this.#expect(operation, id);
    await this.#catalog.setPinned(id, pinned).catch((error: unknown) => {
      throw toStoreError(error, `page store ${operation}`, id);
    });
  }

  async #assertParent(id: string, tenant: string | undefined): Promise<void> {
    assertCheckpointId('page store begin', id);
    const parent = await this.#expect('begin', id);
    // One of another tenant and one that is not there look alike.
    if (parent.manifest?.tenant !== tenant) throw this.#absent('begin', id);
  }

  /** @throws {OffloadError} not_found, incomplete_checkpoint */
  async #expect(operation: string, id: string): Promise<CatalogEntry> {
    const entry = await this.#catalog.find(id);
    if (entry === undefined || this.#leaving.has(id)) throw this.#absent(operation, id);
    return entry;
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
