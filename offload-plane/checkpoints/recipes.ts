/** What the checkpoints of a store need of the plane to be restored. */
import type { ContainerRecipe } from '../containers/container.ts';
import type { PageStore } from '../page-store/contract.ts';
import { recipeOfManifest } from './checkpoints.ts';
import { isPreDump } from './pre-dumps.ts';

/** One whose manifest names no container needs nothing. */
export async function checkpointRecipes(
  store: PageStore,
): Promise<{ id: string; recipe: ContainerRecipe }[]> {
  const manifests = (await store.list()).filter((manifest) => !isPreDump(manifest));
  return manifests.flatMap((manifest) => {
    try {
      return [{ id: manifest.id, recipe: recipeOfManifest(manifest) }];
    } catch {
      return [];
    }
  });
}
