/** The disk with what our side is compared with: Debian's containerd and runc, and a bare echo in C. */
import { chmodSync, copyFileSync, mkdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { runProcess } from '../../platform/processes.ts';
import { QmpClient } from '../../platform/qmp.ts';
import { unpackedPackages } from '../../testbed/native/debian-programs.ts';
import { scsiBus } from '../../testbed/qemu/argv.ts';
import type { Guest } from '../../testbed/qemu/guest.ts';
import { runInGuest } from '../../testbed/qemu/guest-shell.ts';

/** Where the disk is mounted in the guest. */
export const PROGRAMS = '/run/bench-programs';
const DEBIAN_FILES = [
  'usr/bin/containerd',
  'usr/bin/containerd-shim-runc-v2',
  'usr/bin/ctr',
  'usr/sbin/runc',
  'etc/containerd/config.toml',
];
/** The plane begins at 1. */
const LUN = 0;
const NODE_NAME = 'bench-programs';
const QMP_TIMEOUT_MS = 15_000;
const BUILD_TIMEOUT_MS = 300_000;

/** @returns the path of a read-only erofs in `directory` */
export async function buildProgramDisk(directory: string): Promise<string> {
  const folder = join(import.meta.dirname, 'programs');
  await runProcess('make', ['-s', '-C', folder], { timeoutMs: BUILD_TIMEOUT_MS });
  const debian = await unpackedPackages(['containerd', 'runc']);
  const files = [...DEBIAN_FILES.map((file) => join(debian, file)), join(folder, 'build/vsock-echo')];
  const tree = join(directory, 'programs');
  mkdirSync(tree);
  for (const file of files) {
    copyFileSync(file, join(tree, basename(file)));
    chmodSync(join(tree, basename(file)), 0o755);
  }
  const image = join(directory, 'programs.img');
  await runProcess('mkfs.erofs', ['-T', '0', '--all-root', image, tree], { timeoutMs: BUILD_TIMEOUT_MS });
  return image;
}

/** Attaches the image to the guest by the testbed's own QMP socket and mounts it at PROGRAMS. */
export async function attachProgramDisk(guest: Guest, image: string, timeoutMs: number): Promise<void> {
  const qmp = await QmpClient.connect({ socketPath: guest.qmpPath, timeoutMs: QMP_TIMEOUT_MS });
  try {
    const file = { driver: 'file', filename: image, 'read-only': true };
    await qmp.execute('blockdev-add', { 'node-name': NODE_NAME, driver: 'raw', 'read-only': true, file });
    const device = { driver: 'scsi-hd', id: `disk-${NODE_NAME}`, drive: NODE_NAME };
    await qmp.execute('device_add', { ...device, bus: scsiBus, lun: LUN });
  } finally {
    qmp.close();
  }
  const mount = `set -e
mkdir -p ${PROGRAMS}
until device=$(ls /sys/bus/scsi/devices/*:${LUN}/block 2>/dev/null | grep '^sd'); do sleep 0.05; done
mount -t erofs -o ro /dev/$device ${PROGRAMS}`;
  await runInGuest(guest, mount, timeoutMs);
}
