/** From a registry into an OCI layout of ours, which then is imported like any other. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { OffloadError } from '../../platform/errors.ts';
import type { ImportContext } from './import-image.ts';
import type { Reference } from './reference.ts';
import type { RegistryImage } from './registry-manifest.ts';
import { resolveImage } from './registry-manifest.ts';
import { inspectArgv, pullArgv, type RegistryOptions, skopeoError } from './skopeo.ts';
import { watchGrowth } from './watch-growth.ts';

export interface PullRequest {
  /** `[registry/]repository[:tag][@sha256:digest]`; without tag and digest it is `latest`. */
  reference: string;
  /** Default: true. */
  tlsVerify?: boolean;
  /** On the plane's side; the format that docker, podman and skopeo share. */
  authFile?: string;
  /** Guests run linux/amd64; nothing else can be asked for. */
  platform?: string;
}

/** Beside the layers a layout has some small files. */
const EXTRA_BYTES = 16 * 1024 * 1024;

export const registryOptions = ({ tlsVerify = true, authFile }: PullRequest): RegistryOptions => ({
  tlsVerify,
  ...(authFile === undefined ? {} : { authFile }),
});

/** Asks the registry what the reference means at present. */
export async function lookUp(
  reference: Reference,
  options: RegistryOptions,
  context: ImportContext,
): Promise<RegistryImage> {
  const { subject, run, limits, signal } = context;
  context.onProgress({ phase: 'resolve' });
  const fetch = (name: string) =>
    run('skopeo', inspectArgv(name, options), { timeoutMs: limits.lookUpTimeoutMs, signal }).catch(
      (error: unknown) => {
        throw skopeoError(error, subject);
      },
    );
  return await resolveImage(reference, fetch, context);
}

/** @returns where the layout is; its one image is tagged `image` */
export async function download(
  image: RegistryImage,
  staging: string,
  options: RegistryOptions,
  context: ImportContext,
): Promise<string> {
  const { subject, run, limits, signal, onProgress } = context;
  // Relative paths: skopeo takes what follows a colon for a tag.
  const target = { layout: 'layout', scratch: 'scratch' };
  const directory = join(staging, 'pulled');
  await mkdir(join(directory, target.scratch), { recursive: true });
  const watch = {
    subject,
    directory,
    bytesMax: image.bytes + EXTRA_BYTES,
    stallTimeoutMs: limits.stallTimeoutMs,
    nowMs: () => performance.now(),
    signal,
    onBytes: (byteCount: number) =>
      onProgress({ phase: 'pull', doneBytes: Math.min(byteCount, image.bytes), totalBytes: image.bytes }),
  };
  try {
    await watchGrowth(watch, (watched) =>
      run('skopeo', pullArgv(image.pinned, target, options), {
        cwd: directory,
        timeoutMs: limits.importTimeoutMs,
        signal: watched,
      }),
    );
  } catch (error) {
    throw skopeoError(error, subject);
  }
  return join(directory, target.layout);
}

/** @throws {OffloadError} invalid_request when the file is not named by a whole path */
export function checkAuthFile({ authFile, reference }: PullRequest): void {
  if (authFile === undefined || (authFile.startsWith('/') && !authFile.includes('\0'))) return;
  throw new OffloadError('invalid_request', `pull image ${reference}: the auth file's path is not absolute`);
}
