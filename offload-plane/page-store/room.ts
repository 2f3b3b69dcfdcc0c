/** Makes room in the store: by the quota and by what the device has, evicting what was not used for long. */
import { OffloadError } from '../../platform/errors.ts';
import type { Catalog } from './catalog.ts';
import { planEviction } from './eviction.ts';
import type { StoreFileSystem } from './file-system.ts';
import type { Quota, QuotaShare } from './quota.ts';

export interface RoomOptions {
  fs: StoreFileSystem;
  directory: string;
  catalog: Catalog;
  quota: Quota;
  /** Whether a checkpoint is being read or leaves already. */
  isBusy(id: string): boolean;
  remove(id: string): Promise<void>;
}

export class Room {
  readonly #options: RoomOptions;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: RoomOptions) {
    this.#options = options;
  }

  /** @throws {OffloadError} no_space; nothing is evicted when all that may go would not be enough */
  reserve(share: QuotaShare, bytes: number, subject: string): Promise<void> {
    return this.#inTurn(async () => {
      const neededBytes = share.missingFor(bytes);
      for (;;) {
        const { freeBytes, limitBytes } = await this.#space();
        if (neededBytes <= freeBytes) break;
        const targetBytes = this.#options.catalog.ledger.bytes - (neededBytes - freeBytes);
        if (await this.#evictNext(targetBytes, 'if enough')) continue;
        throw new OffloadError(
          'no_space',
          `page store reserve ${subject}: needs ${neededBytes} bytes, ${freeBytes} bytes are free of a limit of ${limitBytes} bytes, and what may be evicted is not enough`,
        );
      }
      share.reserve(bytes, subject);
    });
  }

  evict(targetBytes: number): Promise<string[]> {
    return this.#inTurn(async () => {
      const evicted: string[] = [];
      for (;;) {
        const id = await this.#evictNext(targetBytes, 'as far as it goes');
        if (id === undefined) return evicted;
        evicted.push(id);
      }
    });
  }

  /** One at a time, each planned anew: what was idle a moment ago may be open by now. */
  async #evictNext(targetBytes: number, how: 'if enough' | 'as far as it goes'): Promise<string | undefined> {
    const { ids, enough } = this.#plan(targetBytes);
    const [id] = ids;
    if (id === undefined || (!enough && how === 'if enough')) return undefined;
    await this.#options.remove(id);
    return id;
  }

  #plan(targetBytes: number): { ids: string[]; enough: boolean } {
    const { catalog, isBusy } = this.#options;
    const candidates = catalog.entries().filter(({ id, pinned }) => !pinned && !isBusy(id));
    return planEviction(candidates, catalog.ledger, targetBytes);
  }

  /** The quota's or the device's, whichever is less. */
  async #space(): Promise<{ freeBytes: number; limitBytes: number }> {
    const { fs, directory, quota } = this.#options;
    const { bavail, blocks, bsize } = await fs.statfs(directory);
    const onDevice = Math.max(0, bavail * bsize - quota.pendingBytes);
    return {
      freeBytes: Math.min(quota.freeBytes, onDevice),
      limitBytes: Math.min(quota.limitBytes, blocks * bsize),
    };
  }

  /** One after the other: two that look at the same free bytes would both take them. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => undefined);
    return done;
  }
}
