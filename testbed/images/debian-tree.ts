/** Debian packages unpacked, not installed: files to pick from. */
import { mkdir } from 'node:fs/promises';
import type { RunTool } from '../../offload-plane/images/run-tool.ts';
import { type DebianMirror, debianKeyringPath, readDebianMirror } from '../setup/apt-sources.ts';
import { sourceLines } from '../setup/private-apt.ts';

/** Debian stable; the guests run the same, so the host's release does not show in a container. */
export const SUITE = 'trixie';
const APT_CONFIG_TIMEOUT_MS = 60_000;
const MMDEBSTRAP_TIMEOUT_MS = 10 * 60_000;

/** Unpacks the packages and all they depend on into an empty directory; takes a few seconds. */
export async function unpackDebian(options: {
  directory: string;
  packages: readonly string[];
  run: RunTool;
}): Promise<void> {
  const { directory, packages, run } = options;
  await mkdir(directory, { recursive: true });
  const argv = mmdebstrapArgv({
    directory,
    packages,
    sources: treeSources(readDebianMirror(), debianKeyringPath()),
    aptSettings: machineAptSettings(await run('apt-config', ['dump'], { timeoutMs: APT_CONFIG_TIMEOUT_MS })),
  });
  await run('mmdebstrap', argv, { timeoutMs: MMDEBSTRAP_TIMEOUT_MS });
}

/** The mirror is the machine's own; the suite is not. */
export function treeSources(mirror: DebianMirror, keyringPath: string): string[] {
  const security = mirror.securityUri
    ? sourceLines(mirror.securityUri, [`${SUITE}-security`], keyringPath)
    : [];
  return [...sourceLines(mirror.archiveUri, [SUITE], keyringPath), ...security];
}

/** Proxies and clock checks that the machine's apt is configured with hold here as well. */
export function machineAptSettings(aptConfigDump: string): string[] {
  const kept = /^Acquire::(https?::.*Proxy|https?::Timeout|Check-Valid-Until|Check-Date)\b/i;
  return aptConfigDump.split('\n').filter((line) => kept.test(line));
}

export function mmdebstrapArgv(plan: {
  directory: string;
  packages: readonly string[];
  sources: readonly string[];
  aptSettings: readonly string[];
}): string[] {
  return [
    ...['--quiet', '--variant=extract', '--format=directory', `--include=${plan.packages.join(',')}`],
    ...plan.aptSettings.map((setting) => `--aptopt=${setting}`),
    ...[SUITE, plan.directory, ...plan.sources],
  ];
}
