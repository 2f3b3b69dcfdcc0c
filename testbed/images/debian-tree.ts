/** Debian packages unpacked, not installed: files to pick from. */
import { mkdir } from 'node:fs/promises';
import type { RunTool } from '../../offload-plane/images/run-tool.ts';
import { OffloadError } from '../../platform/errors.ts';

/** Debian stable; the guests run the same, so the host's release does not show in a container. */
export const SUITE = 'trixie';
const APT_TIMEOUT_MS = 60_000;
const MMDEBSTRAP_TIMEOUT_MS = 10 * 60_000;

/** The mirror that this machine takes Debian from. */
export async function debianMirror(run: RunTool): Promise<string> {
  const format = '$(REPO_URI) $(LABEL) $(COMPONENT)';
  const args = ['indextargets', '--format', format, 'Created-By: Packages'];
  const mirror = parseIndexTargets(await run('apt-get', args, { timeoutMs: APT_TIMEOUT_MS }));
  if (mirror) return mirror;
  throw new OffloadError(
    'runtime_failed',
    'build demo images: apt knows no Debian mirror; run apt-get update',
  );
}

/** Security archives and foreign repositories have another label. */
export function parseIndexTargets(text: string): string | undefined {
  const line = text.split('\n').find((candidate) => candidate.trim().endsWith(' Debian main'));
  return line?.trim().split(' ')[0];
}

/** Unpacks the packages and all they depend on into an empty directory; takes a few seconds. */
export async function unpackDebian(options: {
  directory: string;
  packages: readonly string[];
  run: RunTool;
}): Promise<void> {
  const { directory, packages, run } = options;
  await mkdir(directory, { recursive: true });
  await run('mmdebstrap', mmdebstrapArgv(directory, packages, await debianMirror(run)), {
    timeoutMs: MMDEBSTRAP_TIMEOUT_MS,
  });
}

export function mmdebstrapArgv(directory: string, packages: readonly string[], mirror: string): string[] {
  return [
    '--quiet',
    '--variant=extract',
    '--format=directory',
    `--include=${packages.join(',')}`,
    SUITE,
    directory,
    mirror,
  ];
}
