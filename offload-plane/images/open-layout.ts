/** Whatever an import is given, as an OCI layout in a directory that can be read by blob. */
import { mkdir, stat, symlink } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { OffloadError } from '../../platform/errors.ts';
import { archiveKind } from './archive-kind.ts';
import type { ImportContext } from './import-image.ts';
import { checkLayoutVersion, type Layout } from './layout.ts';
import { expandLayoutTar } from './layout-tar.ts';
import { convertArchiveArgv, skopeoError } from './skopeo.ts';
import { watchGrowth } from './watch-growth.ts';

export interface OpenedLayout extends Layout {
  /** What an archive of Docker's calls its image. */
  names: string[];
}

/** A tar is expanded, or converted, below `staging`. */
export async function openLayout(
  path: string,
  staging: string,
  context: ImportContext,
): Promise<OpenedLayout> {
  const { subject, limits } = context;
  const stats = await stat(path).catch((error: NodeJS.ErrnoException) => {
    const cause = error.code === 'ENOENT' ? 'no such file or directory' : error.message;
    throw new OffloadError('invalid_request', `${subject}: ${cause}`, { cause: error });
  });
  const layout: OpenedLayout = { subject, root: resolve(path), limits, names: [] };
  if (stats.isFile()) Object.assign(layout, await layoutOfTar(resolve(path), stats.size, staging, context));
  else if (!stats.isDirectory()) {
    throw new OffloadError('invalid_request', `${subject}: is neither a directory nor a file`);
  }
  await checkLayoutVersion(layout);
  return layout;
}

async function layoutOfTar(
  tarPath: string,
  totalBytes: number,
  staging: string,
  context: ImportContext,
): Promise<{ root: string; names: string[] }> {
  const { subject, limits, signal, onProgress } = context;
  const archive = await archiveKind(tarPath, context);
  if (archive.kind === 'docker') {
    return { root: await convertArchive(tarPath, staging, context), names: archive.names };
  }
  const root = join(staging, 'expanded');
  let doneBytes = 0;
  const onBytes = (byteCount: number) => {
    doneBytes += byteCount;
    onProgress({ phase: 'expand', doneBytes, totalBytes });
  };
  await expandLayoutTar({ subject, tarPath, destination: root, limits, signal, onBytes });
  return { root, names: [] };
}

async function convertArchive(tarPath: string, staging: string, context: ImportContext): Promise<string> {
  const { subject, limits, run, signal, onProgress } = context;
  // Relative paths, and a name of ours for the archive: skopeo takes what follows a colon for a tag.
  const target = { layout: 'layout', scratch: 'scratch' };
  const directory = join(staging, 'converted');
  await mkdir(join(directory, target.scratch), { recursive: true });
  await symlink(tarPath, join(directory, 'archive.tar'));
  const watch = {
    subject,
    directory,
    bytesMax: 2 * limits.imageBytesMax,
    stallTimeoutMs: limits.importTimeoutMs,
    nowMs: () => performance.now(),
    signal,
    onBytes: (doneBytes: number) => onProgress({ phase: 'convert', doneBytes }),
  };
  try {
    await watchGrowth(watch, (watched) =>
      run('skopeo', convertArchiveArgv('archive.tar', target), {
        cwd: directory,
        timeoutMs: limits.importTimeoutMs,
        signal: watched,
      }),
    );
  } catch (error) {
    throw asInvalidImage(skopeoError(error, subject));
  }
  return join(directory, target.layout);
}

/** No registry has a part in it: what skopeo does not like is the archive. */
function asInvalidImage(error: unknown): unknown {
  if (!(error instanceof OffloadError) || error.code === 'no_space') return error;
  if (error.code === 'deadline_exceeded' || error.code === 'cancelled') return error;
  return new OffloadError('invalid_image', error.message, { cause: error });
}
