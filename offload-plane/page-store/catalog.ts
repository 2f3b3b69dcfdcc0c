/** The checkpoints a store has, as it keeps them in memory: what each takes, who it belongs to, when it was used. */
import { join } from 'node:path';
import { readManifest } from './checkpoint-files.ts';
import type { CheckpointManifest, PageStoreLogger } from './contract.ts';
import { removeTree, TEMPORARY_SUFFIX } from './durable.ts';
import type { StoreFileSystem } from './file-system.ts';
import { Ledger, measureDirectory } from './ledger.ts';
import { noteUse, readUsage, setPinned, type Usage } from './usage.ts';

export interface CatalogEntry extends Usage {
  id: string;
  /** undefined when its manifest cannot be read: it takes room, and no more is known of it. */
  manifest: CheckpointManifest | undefined;
}

export class Catalog {
  readonly ledger = new Ledger();
  readonly #fs: StoreFileSystem;
  readonly #directory: string;
  readonly #nowMs: () => number;
  readonly #entries = new Map<string, CatalogEntry>();
  #lastUseMs = 0;
  /** One after the other, so that the last use is the one that stays. */
  #noted: Promise<void> = Promise.resolve();

  constructor(fs: StoreFileSystem, directory: string, nowMs: () => number) {
    this.#fs = fs;
    this.#directory = directory;
    this.#nowMs = nowMs;
  }

  async load(): Promise<void> {
    for (const id of await this.#fs.readdir(this.#directory)) {
      await this.#removeTemporaries(join(this.#directory, id));
      await this.find(id);
    }
  }

  /** The directory is what counts: a checkpoint put there or taken away by hand is seen. */
  async find(id: string): Promise<CatalogEntry | undefined> {
    const directory = join(this.#directory, id);
    if ((await this.#fs.stat(directory).catch(() => undefined)) === undefined) {
      this.drop(id);
      return undefined;
    }
    if (!this.#entries.has(id)) {
      await this.add(id, await readManifest(this.#fs, directory, id).catch(() => undefined));
    }
    return this.#entries.get(id);
  }

  /** Readable ones, oldest first. */
  async list(logger: PageStoreLogger | undefined): Promise<CheckpointManifest[]> {
    const manifests: CheckpointManifest[] = [];
    for (const id of await this.#fs.readdir(this.#directory)) {
      try {
        manifests.push(await readManifest(this.#fs, join(this.#directory, id), id));
      } catch (error) {
        logger?.warn({ id, error }, 'page store: checkpoint left out of the list');
      }
    }
    return manifests.sort((a, b) => (a.createdAt < b.createdAt ? -1 : 1));
  }

  /** What a crash left of a replacement that never came to its end. */
  async #removeTemporaries(directory: string): Promise<void> {
    for (const name of await this.#fs.readdir(directory)) {
      if (name.endsWith(TEMPORARY_SUFFIX)) await removeTree(this.#fs, join(directory, name));
    }
  }

  async add(id: string, manifest: CheckpointManifest | undefined): Promise<void> {
    const directory = join(this.#directory, id);
    const uses = await measureDirectory(this.#fs, directory);
    this.#entries.set(id, { id, manifest, ...(await readUsage(this.#fs, directory)) });
    this.ledger.set(id, uses);
  }

  /** After files were added to a checkpoint. */
  async measure(id: string): Promise<void> {
    this.ledger.set(id, await measureDirectory(this.#fs, join(this.#directory, id)));
  }

  drop(id: string): void {
    this.#entries.delete(id);
    this.ledger.remove(id);
  }

  entries(): CatalogEntry[] {
    return [...this.#entries.values()];
  }

  /** Checkpoints of a tenant, the newest first. */
  ofTenant(tenant: string | undefined): string[] {
    if (tenant === undefined) return [];
    const theirs = this.entries().flatMap(({ manifest }) => (manifest?.tenant === tenant ? [manifest] : []));
    return theirs.sort((a, b) => (a.createdAt > b.createdAt ? -1 : 1)).map(({ id }) => id);
  }

  /** Not waited for: an open is not slower for it, and one that fails costs no more than its place in the order. */
  noteUse(id: string): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    entry.lastUsedMs = this.#lastUseMs = Math.max(this.#nowMs(), this.#lastUseMs + 1);
    const { lastUsedMs } = entry;
    this.#noted = this.#noted
      .then(() => noteUse(this.#fs, join(this.#directory, id), lastUsedMs))
      .catch(() => undefined);
  }

  /** Every use so far is on record. */
  async settle(): Promise<void> {
    await this.#noted;
  }

  async setPinned(id: string, pinned: boolean): Promise<void> {
    await setPinned(this.#fs, join(this.#directory, id), pinned);
    const entry = this.#entries.get(id);
    if (entry !== undefined) entry.pinned = pinned;
  }
}
