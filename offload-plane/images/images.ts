/** The plane's images: the store, and who needs what is in it. */
import { OffloadError } from '../../platform/errors.ts';
import type { Journal } from '../journal/journal.ts';
import type { ChangeControl, ImageRecord, ImageStore } from './image-store.ts';

export interface ImagesDeps {
  store: ImageStore;
  journal: Journal;
  /** Who needs the image with this digest, each as `container web`. */
  usersOf(digest: string): Promise<string[]>;
  /** Takes the block image from all guests that still have it. */
  detach(path: string): Promise<void>;
}

export interface PruneResult {
  /** Of each image that went, its name, or its digest when it had none. */
  removed: string[];
  freedBytes: number;
}

export function createImages({ store, journal, usersOf, detach }: ImagesDeps) {
  const noted = async (event: string, image: Promise<ImageRecord>): Promise<ImageRecord> => {
    const { name } = await image;
    journal.append({ type: 'image', event, name });
    return await image;
  };

  async function expectUnused({ name, digest, rootfsPath }: ImageRecord): Promise<void> {
    const users = await usersOf(digest);
    if (users.length > 0) {
      throw new OffloadError('invalid_state', `remove image ${name}: used by ${users.join(', ')}`);
    }
    await detach(rootfsPath);
  }

  async function remove(reference: string): Promise<void> {
    const { name, digest } = store.get(reference, 'remove image');
    await store.remove(reference, expectUnused);
    const isGone = !store.list().some((image) => image.digest === digest);
    journal.append({ type: 'image', event: isGone ? 'removed' : 'untagged', name });
  }

  return {
    list: store.list,
    get: store.get,
    close: store.close,
    import: (request: Parameters<ImageStore['import']>[0], control?: ChangeControl) =>
      noted('imported', store.import(request, control)),
    load: (
      body: Parameters<ImageStore['load']>[0],
      request: Parameters<ImageStore['load']>[1],
      control?: ChangeControl,
    ) => noted('imported', store.load(body, request, control)),
    pull: (request: Parameters<ImageStore['pull']>[0], control?: ChangeControl) =>
      noted('pulled', store.pull(request, control)),
    /** @throws {OffloadError} invalid_state naming the containers and checkpoints that need it */
    remove,
    /** Removes images that nothing needs: those without a tag, or all. */
    async prune({ all }: { all: boolean }): Promise<PruneResult> {
      const result: PruneResult = { removed: [], freedBytes: 0 };
      for (const { name, names, digest, rootfsBytes } of store.list()) {
        if ((!all && names.length > 0) || (await usersOf(digest)).length > 0) continue;
        await remove(digest);
        result.removed.push(name);
        result.freedBytes += rootfsBytes;
      }
      return result;
    },
  };
}
export type Images = ReturnType<typeof createImages>;
