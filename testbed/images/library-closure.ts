/** Which shared libraries a program of a Debian tree needs: the tree's own loader is asked. */
import { join, relative } from 'node:path';
import type { RunTool } from '../../offload-plane/images/run-tool.ts';
import { OffloadError } from '../../platform/errors.ts';

const LIBRARY_DIRECTORY = 'usr/lib/x86_64-linux-gnu';
const LOADER = 'usr/lib64/ld-linux-x86-64.so.2';
const LIST_TIMEOUT_MS = 30_000;

/**
 * Paths below the tree, the loader included. The loader runs outside a chroot and looks only into the tree,
 * so this needs no privilege.
 */
export async function libraryClosure(tree: string, program: string, run: RunTool): Promise<string[]> {
  const library = join(tree, LIBRARY_DIRECTORY);
  const args = ['--inhibit-cache', '--library-path', library, '--list', program];
  const listing = await run(join(tree, LOADER), args, { timeoutMs: LIST_TIMEOUT_MS });
  return [...parseLoaderList(listing, tree, program), LOADER];
}

/** `libz.so.1 => /tree/usr/lib/x86_64-linux-gnu/libz.so.1 (0x00007f388dac0000)` to its path below the tree. */
export function parseLoaderList(listing: string, tree: string, program: string): string[] {
  const paths: string[] = [];
  for (const line of listing.split('\n')) {
    const found = /^\s*(\S+) => (.+?)( \(0x[0-9a-f]+\))?$/.exec(line);
    if (!found?.[1] || !found[2] || found[1].startsWith('/')) continue;
    const path = relative(tree, found[2]);
    if (path.startsWith('..') || found[2] === 'not found') {
      throw new OffloadError(
        'runtime_failed',
        `build demo image: ${program} needs ${found[1]}, the Debian tree does not have it`,
      );
    }
    paths.push(path);
  }
  return paths;
}
