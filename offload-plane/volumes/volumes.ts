/** The plane's volumes: the store, and who has what is in it. */
import { OffloadError } from '../../platform/errors.ts';
import type { Journal } from '../journal/journal.ts';
import type { VolumeRecord, VolumeRequest, VolumeStore } from './volume-store.ts';

export interface VolumesDeps {
  store: VolumeStore;
  journal: Journal;
  /** The names of the containers that have the volume, ended ones too. */
  usersOf(name: string): string[];
  /** The guest that the block image is attached to. */
  guestOf(path: string): string | undefined;
}

export interface VolumeView extends VolumeRecord {
  usedBy: string[];
  guest?: string;
}

export function createVolumes({ store, journal, usersOf, guestOf }: VolumesDeps) {
  function viewOf(record: VolumeRecord): VolumeView {
    const guest = guestOf(record.path);
    return { ...record, usedBy: usersOf(record.name), ...(guest === undefined ? {} : { guest }) };
  }

  async function remove(name: string): Promise<void> {
    await store.remove(name, () => {
      const users = usersOf(name);
      if (users.length === 0) return;
      throw new OffloadError('invalid_state', `remove volume ${name}: used by ${users.join(', ')}`);
    });
    journal.append({ type: 'volume', event: 'removed', name });
  }

  async function create(request: VolumeRequest): Promise<VolumeView> {
    const record = await store.create(request);
    journal.append({ type: 'volume', event: 'created', name: record.name });
    return viewOf(record);
  }

  return {
    create,
    /** Makes it with the default size where there is none. */
    async ensure(name: string): Promise<void> {
      if (store.has(name)) return;
      await create({ name }).catch((error: unknown) => {
        if (!(error instanceof OffloadError && error.code === 'already_exists')) throw error;
      });
    },
    get: async (name: string) => viewOf(await store.get(name)),
    list: async () => (await store.list()).map(viewOf),
    /** @throws {OffloadError} invalid_state naming the containers that have it */
    remove,
    /** Removes those that no container has. */
    async prune(): Promise<{ removed: string[]; freedBytes: number }> {
      const result: { removed: string[]; freedBytes: number } = { removed: [], freedBytes: 0 };
      for (const { name, usedBytes } of await store.list()) {
        if (usersOf(name).length > 0) continue;
        await remove(name);
        result.removed.push(name);
        result.freedBytes += usedBytes;
      }
      return result;
    },
    close: store.close,
  };
}
export type Volumes = ReturnType<typeof createVolumes>;
