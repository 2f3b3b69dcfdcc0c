/** How containers end: conmon leaves a file named like the container, holding the exit code. */
import { existsSync, watch } from 'node:fs';
import { mkdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';

export interface ContainerExit {
  exitCode: number;
  /** The kernel ended one of its processes for want of memory: conmon leaves a file that says so. */
  oomKilled: boolean;
  atMs: number;
}

/** conmon's, in its --persist-dir. */
export const OOM_FILE = 'oom';

/** Undefined as long as the container has not ended. */
export async function readExit(
  directory: string,
  data: string,
  id: string,
): Promise<ContainerExit | undefined> {
  const path = join(directory, id);
  try {
    const [text, { mtimeMs }] = await Promise.all([readFile(path, 'utf8'), stat(path)]);
    if (!/^\d+\s*$/.test(text)) return undefined;
    return { exitCode: Number(text), oomKilled: existsSync(join(data, OOM_FILE)), atMs: Math.round(mtimeMs) };
  } catch {
    return undefined;
  }
}

/**
 * Calls `onFile` with the name of each file that appears or changes. What keeps the agent alive is its listener.
 * @returns what ends it
 */
export async function watchExits(directory: string, onFile: (id: string) => void): Promise<() => void> {
  await mkdir(directory, { recursive: true });
  const watcher = watch(directory, { persistent: false }, (_event, name) => {
    if (name) onFile(name);
  });
  return () => watcher.close();
}
