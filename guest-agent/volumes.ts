/**
 * Volumes: an ext4 file system on a block device, of which a container sees the directory `data`. CRIU takes
 * it for an external mount, so its content is no part of a checkpoint.
 */
import { lstat, mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { ContainerSpec } from '../interconnect/agent-api.ts';
import { OffloadError } from '../platform/errors.ts';
import type { DeviceKind, DeviceMounts } from './device-mounts.ts';
import type { RunProgram } from './run-program.ts';

/** noload: a device that nobody may write to cannot have its journal replayed. */
export const VOLUME_DEVICE: DeviceKind = {
  name: 'volume',
  fileSystem: 'ext4',
  optionsFor: ({ readOnly }) => (readOnly ? 'ro,noload' : 'rw,nodev'),
};

/** Beside lost+found, which a program that wants an empty directory does not want to see. */
export const volumeData = (mountPoint: string) => join(mountPoint, 'data');

export function createVolumes(deps: { run: RunProgram; devices: DeviceMounts }) {
  const { run, devices } = deps;

  /** A new volume begins as what the image has at its place, owner and permissions included, as with Docker. */
  async function seed(mountPoint: string, original: string | undefined): Promise<void> {
    const data = volumeData(mountPoint);
    if (await lstat(data).catch(() => undefined)) return;
    const draft = `${data}.new`;
    await rm(draft, { recursive: true, force: true });
    if (original === undefined) await mkdir(draft, { mode: 0o755 });
    else await run('cp', ['--archive', original, draft]);
    await rename(draft, data);
  }

  return {
    /** Mounts what the container names; its root filesystem is mounted at `rootfs`. */
    async mount(spec: ContainerSpec, rootfs: string): Promise<void> {
      for (const { lun, destination } of spec.volumes ?? []) {
        const mountPoint = await devices.acquire(lun, spec.id);
        await seed(mountPoint, await directoryInside(rootfs, destination)).catch((error: Error) => {
          throw new OffloadError('runtime_failed', `mount volume at ${destination}: ${error.message}`);
        });
      }
    },
    /** As `unmount`, of volumes that are to go elsewhere: one that stays mounted is an error. */
    async release(id: string, volumes: ContainerSpec['volumes']): Promise<void> {
      for (const { lun } of volumes ?? []) await devices.release(lun, id);
    },
    async unmount(id: string, volumes: ContainerSpec['volumes']): Promise<void> {
      for (const { lun } of volumes ?? []) await devices.release(lun, id).catch(() => undefined);
    },
  };
}
export type Volumes = ReturnType<typeof createVolumes>;

/** The directory at `path` below `root`; undefined where there is none or a link leads there, perhaps outside. */
async function directoryInside(root: string, path: string): Promise<string | undefined> {
  let current = root;
  for (const name of path.split('/').filter((part) => part !== '' && part !== '.')) {
    if (name === '..') return undefined;
    current = join(current, name);
    const found = await lstat(current).catch(() => undefined);
    if (!found?.isDirectory()) return undefined;
  }
  return current;
}
