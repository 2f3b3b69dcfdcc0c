/** Copies between this machine and a container. */
import { stat } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { OffloadError } from '../../../platform/errors.ts';
import type { PlaneClient } from '../../client/index.ts';
import { expectNoTerminal } from '../tar-files.ts';
import { fromGuest } from './guest-tar.ts';
import { type CopyEnd, parseEnd, place, type Target } from './place.ts';
import { pack, unpack } from './tar.ts';

type ContainerEnd = Extract<CopyEnd, { kind: 'container' }>;

export async function copy(client: PlaneClient, from: string, to: string): Promise<void> {
  const [source, target] = [parseEnd(from), parseEnd(to)];
  if (source.kind === 'container' && target.kind !== 'container') return copyOut(client, source, target);
  if (target.kind === 'container' && source.kind !== 'container') return copyIn(client, source, target);
  throw new OffloadError(
    'invalid_request',
    `copy ${from} to ${to}: exactly one of both has to be container:path`,
  );
}

async function copyOut(
  client: PlaneClient,
  { container, path }: ContainerEnd,
  target: Exclude<CopyEnd, ContainerEnd>,
): Promise<void> {
  if (target.kind === 'tar') {
    expectNoTerminal(`copy ${container}:${path}`, 'name a directory, or use a pipe');
    return pipeline(await client.stdio.getArchive(container, path), process.stdout, { end: false });
  }
  const { kind } = await client.stdio.statPath(container, path);
  const placed = place({ path, isDirectory: kind === 'directory' }, await localTarget(target.path));
  await unpack(fromGuest(await client.stdio.getArchive(container, path), placed.name), placed.directory);
}

async function localTarget(path: string): Promise<Target> {
  const found = await stat(path).catch(() => undefined);
  return { path, kind: !found ? 'missing' : found.isDirectory() ? 'directory' : 'other' };
}

async function copyIn(
  client: PlaneClient,
  source: Exclude<CopyEnd, ContainerEnd>,
  { container, path }: ContainerEnd,
): Promise<void> {
  if (source.kind === 'tar') return client.stdio.putArchive(container, path, process.stdin);
  const found = await stat(source.path).catch((error: NodeJS.ErrnoException) => {
    const reason = error.code === 'ENOENT' ? 'there is no such file' : error.message;
    throw new OffloadError('not_found', `copy ${source.path}: ${reason}`, { cause: error });
  });
  const placed = place(
    { path: source.path, isDirectory: found.isDirectory() },
    await containerTarget(client, container, path),
  );
  const { tar, done } = pack(source.path, placed.name);
  await Promise.all([client.stdio.putArchive(container, placed.directory, tar), done]);
}

async function containerTarget(client: PlaneClient, container: string, path: string): Promise<Target> {
  try {
    const { kind } = await client.stdio.statPath(container, path);
    return { path, kind: kind === 'directory' ? 'directory' : 'other' };
  } catch (error) {
    // The container itself may be what is missing: then its directory is as well, which is said below.
    if (error instanceof OffloadError && error.code === 'not_found') return { path, kind: 'missing' };
    throw error;
  }
}
