/** Real programs from Debian's packages, unpacked once into the cache; the native world sees its own at /run/debian. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { runTool } from '../../offload-plane/images/run-tool.ts';
import { OffloadError } from '../../platform/errors.ts';
import { SUITE, unpackDebian } from '../images/debian-tree.ts';
import { cacheDirectory } from '../setup/cache.ts';
import { withLockFile } from '../setup/lock-file.ts';

const PACKAGES = ['redis-server', 'python3', 'postgresql-17', 'checkpointctl'];
const DRAFT_PREFIX = '.unpack-';
const LOCK_TIMEOUT_MS = 10 * 60_000;

/**
 * Libraries of the world's own root come first: its loader must not meet another libc than its own.
 */
export const DEBIAN_ENV =
  'env LD_LIBRARY_PATH=/usr/lib/x86_64-linux-gnu:/run/debian/usr/lib/x86_64-linux-gnu LC_ALL=C';

/** Asked for by each program: unpacked once, and once tried in vain. */
let unpacked: Promise<string> | undefined;

/**
 * Where the packages are unpacked.
 * @throws {OffloadError} not_found, when a program is not there and cannot be fetched
 */
export async function debianPrograms(program: string): Promise<string> {
  unpacked ??= unpackedPackages(PACKAGES);
  const tree = await unpacked;
  if (existsSync(join(tree, program))) return tree;
  throw new OffloadError('not_found', `${program} is in none of the packages ${PACKAGES.join(', ')}`);
}

/**
 * The packages and all they depend on, as a directory tree in the cache.
 * @throws {OffloadError} not_found, when they cannot be fetched
 */
export async function unpackedPackages(packages: readonly string[]): Promise<string> {
  const parent = join(cacheDirectory(), 'debian-programs');
  const key = createHash('sha256').update(JSON.stringify([SUITE, packages]));
  const tree = join(parent, key.digest('hex').slice(0, 16));
  if (existsSync(tree)) return tree;
  await mkdir(parent, { recursive: true });
  await withLockFile(join(parent, '.lock'), { timeoutMs: LOCK_TIMEOUT_MS }, async () => {
    if (existsSync(tree)) return;
    // The lock is ours, so whatever is half unpacked belongs to one who is gone.
    for (const name of await readdir(parent)) {
      if (name.startsWith(DRAFT_PREFIX)) await rm(join(parent, name), { recursive: true, force: true });
    }
    const draft = await mkdtemp(join(parent, DRAFT_PREFIX));
    try {
      await unpackDebian({ directory: join(draft, 'tree'), packages, run: runTool });
      await rename(join(draft, 'tree'), tree);
    } catch (error) {
      const cause = error instanceof Error ? error.message : String(error);
      throw new OffloadError('not_found', `packages ${packages.join(', ')} cannot be had: ${cause}`);
    } finally {
      await rm(draft, { recursive: true, force: true });
    }
  });
  return tree;
}
