/**
 * Builds the guest image from its recipe, or finds it in the cache.
 *
 * Built beside its final place and renamed into it: what carries the recipe's hash is complete. What a
 * killed build leaves is removed by the next one, under the same lock.
 */
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { type RunProcess, runProcess } from '../../platform/processes.ts';
import { debianKeyringPath, readDebianMirror } from '../setup/apt-sources.ts';
import type { Progress } from '../setup/cache.ts';
import { withLockFile } from '../setup/lock-file.ts';
import { sourceLines } from '../setup/private-apt.ts';
import { agentLayerMount } from './init-script.ts';
import {
  aptPreferences,
  filesHookScript,
  type GuestImageRecipe,
  guestImageRecipe,
  kernelHookScript,
  mmdebstrapArgv,
  recipeHash,
} from './recipe.ts';

export interface GuestImage {
  directory: string;
  hash: string;
  kernelPath: string;
  /** ext4, sparse; guests open it read-only below a temporary overlay. */
  rootImagePath: string;
  /** The same root filesystem as a directory tree, with CRIU in it. */
  rootfsPath: string;
}

export interface GuestImageOptions {
  cacheDirectory: string;
  progress: Progress;
  /** The Node binary that is copied into the guest. */
  nodePath: string;
  nodeVersion: string;
  recipe?: GuestImageRecipe;
  run?: RunProcess;
}

const buildTimeoutMs = 1_800_000;

/** Returns the image of the recipe, building it first when the cache has none. */
export async function ensureGuestImage(options: GuestImageOptions): Promise<GuestImage> {
  const recipe = options.recipe ?? guestImageRecipe;
  const hash = recipeHash(recipe, options.nodeVersion);
  const parent = join(options.cacheDirectory, 'guest-image');
  const image = describeImage(join(parent, hash), hash);
  if (existsSync(image.directory)) return image;
  if (process.getuid?.() !== 0) throw new Error('build guest image: must be root');
  mkdirSync(parent, { recursive: true });
  const onWait = (pid: number) =>
    options.progress(`guest image: waiting for process ${pid}, which builds it`);
  await withLockFile(join(parent, 'build.lock'), { timeoutMs: buildTimeoutMs, onWait }, async () => {
    removeLeftovers(parent);
    if (!existsSync(image.directory)) await buildImage(recipe, image.directory, options);
  });
  return image;
}

function describeImage(directory: string, hash: string): GuestImage {
  return {
    directory,
    hash,
    kernelPath: join(directory, 'vmlinuz'),
    rootImagePath: join(directory, 'root.ext4'),
    rootfsPath: join(directory, 'rootfs'),
  };
}

/** Removes drafts of killed builds. Only called under the lock, so none of them is alive. */
function removeLeftovers(parent: string): void {
  const mounts = readFileSync('/proc/self/mounts', 'utf8');
  for (const name of readdirSync(parent).filter((entry) => entry.includes('.draft-'))) {
    const path = join(parent, name);
    // Deleting through a forgotten bind mount would delete the machine's own files.
    if (mounts.includes(` ${path}/`)) throw new Error(`build guest image: ${path} still has mounts below it`);
    rmSync(path, { recursive: true, force: true });
  }
}

async function buildImage(
  recipe: GuestImageRecipe,
  directory: string,
  options: GuestImageOptions,
): Promise<void> {
  const run = options.run ?? runProcess;
  const draft = `${directory}.draft-${process.pid}`;
  try {
    mkdirSync(draft, { recursive: true });
    const image = describeImage(draft, '');
    options.progress(`guest image: installing Debian ${recipe.suite} (about half a minute)`);
    await installDebian(recipe, draft, image, options, run);
    options.progress('guest image: adding Node and init');
    addOwnFiles(recipe, image.rootfsPath, options.nodePath);
    renameSync(join(draft, 'kernel/vmlinuz'), image.kernelPath);
    options.progress(`guest image: making a ${recipe.imageMiB} MiB ext4 image`);
    await run('mke2fs', mke2fsArgv(recipe, image), { timeoutMs: buildTimeoutMs, env: sbinPath() });
    rmSync(join(draft, 'kernel'), { recursive: true });
    renameSync(draft, directory);
    options.progress('guest image: ready');
  } catch (error) {
    rmSync(draft, { recursive: true, force: true });
    throw error;
  }
}

/** No journal: every guest writes to an overlay that is thrown away. */
function mke2fsArgv(recipe: GuestImageRecipe, image: GuestImage): string[] {
  const shape = ['-q', '-t', 'ext4', '-O', '^has_journal', '-m', '0', '-L', 'offload-root'];
  return [...shape, '-d', image.rootfsPath, image.rootImagePath, `${recipe.imageMiB}M`];
}

function sbinPath(): Record<string, string> {
  return { PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin` };
}

async function installDebian(
  recipe: GuestImageRecipe,
  draft: string,
  image: GuestImage,
  options: GuestImageOptions,
  run: RunProcess,
): Promise<void> {
  const plan = {
    rootfs: image.rootfsPath,
    preferencesPath: join(draft, 'kernel/preferences'),
    kernelHookPath: join(draft, 'kernel/hook.sh'),
    filesHookPath: join(draft, 'kernel/files-hook.sh'),
    kernelDirectory: join(draft, 'kernel'),
    sourcesPath: join(draft, 'kernel/sources.list'),
    aptSettings: await machineAptSettings(run),
  };
  mkdirSync(plan.kernelDirectory);
  writeFileSync(plan.preferencesPath, aptPreferences(recipe));
  writeFileSync(plan.kernelHookPath, kernelHookScript, { mode: 0o755 });
  writeFileSync(plan.filesHookPath, filesHookScript, { mode: 0o755 });
  writeFileSync(plan.sourcesPath, `${imageSources(recipe).join('\n')}\n`);
  const argv = mmdebstrapArgv(recipe, plan);
  // In namespaces of its own a killed build leaves neither mounts nor processes behind.
  const isolate = ['--mount', '--pid', '--fork', '--kill-child', '--mount-proc', '--', 'mmdebstrap'];
  await run('unshare', [...isolate, ...argv], {
    env: { ...sbinPath(), TMPDIR: plan.kernelDirectory },
    timeoutMs: buildTimeoutMs,
    onLine: (line) => {
      if (/^I: (running apt-get|downloading|extracting|installing)/.test(line))
        options.progress(`guest image: ${line.slice(3)}`);
    },
  });
}

function imageSources(recipe: GuestImageRecipe): string[] {
  const mirror = readDebianMirror();
  const keyring = debianKeyringPath();
  const suites = [recipe.suite, `${recipe.suite}-updates`, recipe.testingSuite];
  const security = mirror.securityUri
    ? sourceLines(mirror.securityUri, [`${recipe.suite}-security`], keyring)
    : [];
  return [...sourceLines(mirror.archiveUri, suites, keyring), ...security];
}

/** Proxies and clock checks that the machine's apt is configured with hold for the image's apt as well. */
async function machineAptSettings(run: RunProcess): Promise<string[]> {
  const dump = await run('apt-config', ['dump']);
  return dump
    .split('\n')
    .filter((line) =>
      /^Acquire::(https?::.*Proxy|https?::Timeout|Check-Valid-Until|Check-Date)\b/i.test(line),
    );
}

function addOwnFiles(recipe: GuestImageRecipe, rootfs: string, nodePath: string): void {
  const node = join(rootfs, 'usr/local/bin/node');
  copyFileSync(nodePath, node);
  chmodSync(node, 0o755);
  const init = join(rootfs, 'usr/sbin/init');
  rmSync(init, { force: true });
  writeFileSync(init, recipe.initScript, { mode: 0o755 });
  for (const directory of [agentLayerMount, '/var/lib/offload', '/etc/criu'])
    mkdirSync(join(rootfs, directory), { recursive: true });
  writeFileSync(join(rootfs, 'etc/hosts'), '127.0.0.1 localhost\n::1 localhost\n');
  writeFileSync(join(rootfs, 'etc/resolv.conf'), '');
  for (const litter of ['var/cache/apt', 'var/lib/apt/lists', 'var/log', 'etc/apt/sources.list'])
    rmSync(join(rootfs, litter), { recursive: true, force: true });
  mkdirSync(join(rootfs, 'var/log'));
}
