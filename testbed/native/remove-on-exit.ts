/** Directories that go with the process, however it ends in order. */
import { rmSync } from 'node:fs';

const directories = new Set<string>();
process.once('exit', () => {
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
});

/** Answers what removes them at once. */
export function removeOnExit(...paths: readonly string[]): () => void {
  for (const path of paths) directories.add(path);
  return () => {
    for (const path of paths) {
      rmSync(path, { recursive: true, force: true });
      directories.delete(path);
    }
  };
}
