/**
 * The programs a testbed needs beyond the machine's own release: QEMU 10 or newer and the vsock daemon.
 *
 * QEMU 7.2 (Debian 12) corrupts guest memory under TCG with two vCPUs, so nothing older than 10 is taken;
 * Debian 12 has 10 in its backports. The vsock daemon comes from testing and is one self-contained binary.
 */
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type RunProcess, runProcess } from '../../platform/processes.ts';
import { type DebianMirror, debianKeyringPath, readDebianMirror } from './apt-sources.ts';
import type { Progress } from './cache.ts';
import { withLockFile } from './lock-file.ts';
import { createPrivateApt, type PrivateApt, sourceLines } from './private-apt.ts';

const minimumQemuMajor = 10;
const vhostDeviceVsockVersion = '0.3.0';
/** Debian's testing release, where crun, CRIU and the vsock daemon are taken from. */
export const testingCodename = 'forky';

export interface TestbedTools {
  qemuPath: string;
  qemuVersion: string;
  vhostDeviceVsockPath: string;
}

export interface ToolsOptions {
  cacheDirectory: string;
  progress: Progress;
  run?: RunProcess;
}

/** Finds the tools, installing what is missing (as root). */
export async function ensureTestbedTools(options: ToolsOptions): Promise<TestbedTools> {
  const run = options.run ?? runProcess;
  const vhostDeviceVsockPath = vsockDaemonPath(options.cacheDirectory);
  let qemu = await findQemu(run);
  if (!qemu || !existsSync(vhostDeviceVsockPath)) {
    if (process.getuid?.() !== 0) throw new Error('set-up: QEMU or vhost-device-vsock missing: must be root');
    mkdirSync(options.cacheDirectory, { recursive: true });
    const lockPath = join(options.cacheDirectory, 'tools.lock');
    await withLockFile(lockPath, { timeoutMs: 1_800_000 }, () => installMissing(options, run));
    qemu = await findQemu(run);
  }
  if (!qemu) throw new Error(`qemu-system-x86_64: version ${minimumQemuMajor} or newer not found`);
  return { qemuPath: qemu.path, qemuVersion: qemu.version, vhostDeviceVsockPath };
}

/** Where the vsock daemon of the pinned version is unpacked. */
function vsockDaemonPath(cacheDirectory: string): string {
  const directory = join(cacheDirectory, 'tools', `vhost-device-vsock-${vhostDeviceVsockVersion}`);
  return join(directory, 'usr/bin/vhost-device-vsock');
}

/** The version in `qemu-system-x86_64 --version`, or undefined when it is none or too old. */
export function usableQemuVersion(versionText: string): string | undefined {
  const match = /version (\d+)(\.[0-9.]+)/.exec(versionText);
  return match && Number(match[1]) >= minimumQemuMajor ? `${match[1]}${match[2]}` : undefined;
}

async function findQemu(run: RunProcess): Promise<{ path: string; version: string } | undefined> {
  const path = '/usr/bin/qemu-system-x86_64';
  const text = await run(path, ['--version']).catch(() => '');
  const version = usableQemuVersion(text);
  return version ? { path, version } : undefined;
}

async function installMissing(options: ToolsOptions, run: RunProcess): Promise<void> {
  const mirror = readDebianMirror();
  if (!(await findQemu(run))) await installQemu(mirror, options, run);
  if (!existsSync(vsockDaemonPath(options.cacheDirectory))) await unpackVsockDaemon(mirror, options, run);
}

/** The suites that QEMU and what it depends on come from, the preferred one first. */
export function qemuSuites(codename: string): string[] {
  return codename === 'bookworm' ? ['bookworm-backports', 'bookworm'] : [codename];
}

async function installQemu(mirror: DebianMirror, options: ToolsOptions, run: RunProcess): Promise<void> {
  options.progress(`installing QEMU ${minimumQemuMajor} or newer`);
  const suites = qemuSuites(mirror.codename);
  const apt = privateApt('qemu', mirror, suites, options, run);
  await apt.update();
  await apt.install(['qemu-system-x86'], suites[0]!);
}

async function unpackVsockDaemon(
  mirror: DebianMirror,
  options: ToolsOptions,
  run: RunProcess,
): Promise<void> {
  options.progress(`fetching vhost-device-vsock ${vhostDeviceVsockVersion}`);
  const apt = privateApt('testing', mirror, [testingCodename], options, run);
  await apt.update();
  const tools = join(options.cacheDirectory, 'tools');
  const draft = join(tools, `vhost-device-vsock.${process.pid}`);
  try {
    await apt.download('vhost-device-vsock', testingCodename, draft);
    const deb = readdirSync(draft).find((name) => name.endsWith('.deb'));
    if (!deb) throw new Error('apt-get download vhost-device-vsock: no package file arrived');
    await run('dpkg-deb', ['-x', join(draft, deb), join(draft, 'tree')]);
    await run(join(draft, 'tree/usr/bin/vhost-device-vsock'), ['--version']);
    const target = join(tools, `vhost-device-vsock-${vhostDeviceVsockVersion}`);
    rmSync(target, { recursive: true, force: true });
    renameSync(join(draft, 'tree'), target);
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
}

function privateApt(
  name: string,
  mirror: DebianMirror,
  suites: string[],
  options: ToolsOptions,
  run: RunProcess,
): PrivateApt {
  const lines = sourceLines(mirror.archiveUri, suites, debianKeyringPath());
  const security = suites.includes(mirror.codename) ? mirror.securityUri : undefined;
  if (security) lines.push(...sourceLines(security, [`${mirror.codename}-security`], debianKeyringPath()));
  return createPrivateApt(join(options.cacheDirectory, 'apt', name), lines, run, options.progress);
}
