/** A name for this life of the guest: it lies on /run, so it outlives the agent and not the guest's kernel. */
import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** @param fresh a new name, should there be none yet */
export async function readInstanceId(runDirectory: string, fresh: () => string): Promise<string> {
  const path = join(runDirectory, 'instance-id');
  const known = await readFile(path, 'utf8').catch(() => '');
  if (known !== '') return known;
  const id = fresh();
  await writeFile(`${path}.new`, id);
  await rename(`${path}.new`, path);
  return id;
}
