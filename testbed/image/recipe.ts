/**
 * What the guest image is made of, as data: its hash names the image in the cache.
 */
import { createHash } from 'node:crypto';
import { testingCodename } from '../setup/tools.ts';
import { guestInitScript, guestModules } from './init-script.ts';

export interface GuestImageRecipe {
  suite: string;
  testingSuite: string;
  /** Packages from the stable suite. */
  packages: string[];
  /** Packages that come from testing, with their version pins; "*" is apt's own wildcard. */
  pinned: Record<string, string>;
  /** Single files of packages that are not installed, for all that these would bring with them. */
  packageFiles: Record<string, string[]>;
  /** Meta package whose dependency is the kernel package. */
  kernelPackage: string;
  modules: string[];
  initScript: string;
  imageMiB: number;
  /** Raised when the way of building changes while the data above does not. */
  revision: number;
}

/**
 * crun before 1.28 ignores the CRIU configuration that the agent steers it by, and CRIU before 4.2 speaks
 * another page-server wire and repeats getrandom() after a restore: hence the pins.
 */
export const guestImageRecipe: GuestImageRecipe = {
  suite: 'trixie',
  testingSuite: testingCodename,
  packages: [
    'busybox-static',
    'conmon',
    'e2fsprogs',
    'iproute2',
    'kmod',
    'libstdc++6',
    'mount',
    'procps',
    'socat',
    'tar',
    'tini',
    'util-linux',
  ],
  pinned: {
    crun: '1.28*',
    criu: '4.2.1*',
    libcriu2: '4.2.1*',
    libcompel1: '4.2.1*',
    'libnl-3-200': '3.12*',
    'libnl-route-3-200': '3.12*',
  },
  // The seccomp profile that Docker, podman and CRI-O share.
  packageFiles: { 'golang-github-containers-common': ['usr/share/containers/seccomp.json'] },
  kernelPackage: 'linux-image-cloud-amd64',
  modules: guestModules,
  initScript: guestInitScript,
  imageMiB: 4096,
  revision: 1,
};

/** Names a recipe built with one Node version: 16 hex digits. */
export function recipeHash(recipe: GuestImageRecipe, nodeVersion: string): string {
  const text = JSON.stringify([recipe, nodeVersion]);
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}

/** apt preferences: nothing from testing but the pinned packages, and those at exactly these versions. */
export function aptPreferences(recipe: GuestImageRecipe): string {
  const stanzas = [
    `Package: *\nPin: release n=${recipe.testingSuite}\nPin-Priority: 100\n`,
    ...Object.entries(recipe.pinned).map(
      ([name, version]) => `Package: ${name}\nPin: version ${version}\nPin-Priority: 990\n`,
    ),
  ];
  return stanzas.join('\n');
}

export interface MmdebstrapPlan {
  /** Directory the root filesystem is made in. */
  rootfs: string;
  preferencesPath: string;
  kernelHookPath: string;
  filesHookPath: string;
  /** Directory outside the root filesystem that the hook puts the kernel into. */
  kernelDirectory: string;
  sourcesPath: string;
  /** apt settings taken over from the machine: proxies, checks of the clock. */
  aptSettings: string[];
}

const dropped = ['man', 'doc', 'info', 'locale', 'lintian', 'bash-completion', 'zoneinfo'];

/** The mmdebstrap command line. Pure. */
export function mmdebstrapArgv(recipe: GuestImageRecipe, plan: MmdebstrapPlan): string[] {
  const aptSettings = [
    'APT::Install-Recommends "false";',
    'Acquire::Languages "none";',
    'Acquire::Retries "3";',
    ...plan.aptSettings,
  ];
  const include = [...recipe.packages, 'crun', 'criu', 'libcriu2'];
  const fileHooks = Object.entries(recipe.packageFiles).map(
    ([name, files]) => `--customize-hook=${plan.filesHookPath} "$1" ${name} ${files.join(' ')}`,
  );
  return [
    '--mode=root',
    '--format=directory',
    '--variant=essential',
    '--architectures=amd64',
    ...aptSettings.map((setting) => `--aptopt=${setting}`),
    ...dropped.map((name) => `--dpkgopt=path-exclude=/usr/share/${name}/*`),
    `--setup-hook=install -D -m 644 ${plan.preferencesPath} "$1/etc/apt/preferences.d/pinned"`,
    `--include=${include.join(',')}`,
    `--customize-hook=${plan.kernelHookPath} ${recipe.kernelPackage} ${plan.kernelDirectory} "$1"`,
    ...fileHooks,
    recipe.suite,
    plan.rootfs,
    plan.sourcesPath,
  ];
}

/**
 * Fetches the kernel without installing it, which would ask for an initramfs generator: NVMe, ext4 and
 * virtio-pci are built in, so the guest boots without an initramfs.
 */
export const kernelHookScript = `#!/bin/sh
set -eu
meta=$1 out=$2 root=$3
export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
package=$(apt-cache depends "$meta" | sed -n 's/^ *Depends: //p' | head -n 1)
version=\${package#linux-image-}
mkdir -p "$out"
cd "$out"
apt-get -o APT::Sandbox::User=root download "$package"
dpkg-deb -x "$package"_*.deb tree
cp "tree/boot/vmlinuz-$version" vmlinuz
mkdir -p "$root/usr/lib/modules"
for modules in tree/lib/modules tree/usr/lib/modules; do
  [ ! -d "$modules/$version" ] || cp -a "$modules/$version" "$root/usr/lib/modules/"
done
chroot "$root" depmod "$version"
rm -rf tree "$package"_*.deb
`;

/** Takes files out of a package without installing it: root, package, files without a leading slash. */
export const filesHookScript = `#!/bin/sh
set -eu
root=$1 package=$2
shift 2
export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
scratch=$(mktemp -d)
cd "$scratch"
apt-get -o APT::Sandbox::User=root download "$package"
dpkg-deb -x "$package"_*.deb tree
for file in "$@"; do install -D -m 644 "tree/$file" "$root/$file"; done
rm -rf "$scratch"
`;
