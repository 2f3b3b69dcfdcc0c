/** Image stores of a test file, each in a directory of its own, and tests that need the tools images are made with. */
import { join } from 'node:path';
import { test } from 'uvu';
import { type ImageStore, openImageStore } from '../../../offload-plane/images/image-store.ts';
import type { ImageLimits } from '../../../offload-plane/images/limits.ts';
import { noRegistry } from '../../helpers/registry.ts';
import { tempDirectory } from '../../helpers/temp-directory.ts';

export function createStoreFixture(name: string) {
  const scratch = tempDirectory(name);
  let count = 0;
  /** A path that nothing has had before. */
  const fresh = (kind: string) => join(scratch, `${++count}-${kind}`);
  return {
    fresh,
    async withStore(
      body: (store: ImageStore, directory: string) => Promise<void>,
      limits: Partial<ImageLimits> = {},
    ): Promise<void> {
      const directory = fresh('store');
      const store = await openImageStore({ directory, limits });
      try {
        await body(store, directory);
      } finally {
        await store.close();
      }
    },
  };
}

const reason = noRegistry || (process.getuid?.() === 0 ? '' : 'needs root');

export function testWithTools(title: string, body: () => Promise<void>): void {
  if (reason === '') test(title, body);
  else console.log(`skipped: ${title}: ${reason}`);
}
