/** Root filesystems: the image is a read-only block device; every container has an overlay of its own above it. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { DeviceKind, DeviceMounts } from './device-mounts.ts';
import { BUSYBOX, type ContainerPaths } from './paths.ts';
import type { RunProgram } from './run-program.ts';

export const IMAGE_DEVICE: DeviceKind = { name: 'image', fileSystem: 'erofs', optionsFor: () => 'ro' };

/** @throws with the kernel's word on it */
export type MountOverlay = (layers: string, target: string) => void;

export interface RootfsDeps {
  run: RunProgram;
  images: DeviceMounts;
  mountOverlay: MountOverlay;
  /** Where offload-enter is. */
  programDirectory: string;
}

export function createRootfs(deps: RootfsDeps) {
  const { run, images, mountOverlay } = deps;
  return {
    /** Mounts the container's root filesystem at container.rootfs. */
    async mount(id: string, lun: number, container: ContainerPaths): Promise<void> {
      const image = await images.acquire(lun, id);
      try {
        for (const directory of [container.upper, container.work, container.rootfs]) {
          await mkdir(directory, { recursive: true });
        }
        const { upper, work, rootfs } = container;
        mountOverlay(`lowerdir=${image},upperdir=${upper},workdir=${work}`, rootfs);
      } catch (error) {
        await images.release(lun, id).catch(() => undefined);
        throw error;
      }
    },
    /** Of a mounted one; no link in it leads out of it. A file that cannot be read is empty. */
    readText(container: ContainerPaths, path: string): Promise<string> {
      const enter = join(deps.programDirectory, 'offload-enter');
      return run(enter, ['-', container.rootfs, BUSYBOX, 'cat', path]).catch(() => '');
    },
    /** Fine when it is not mounted. What the container wrote stays. */
    async unmount(id: string, lun: number, container: ContainerPaths): Promise<void> {
      await run('umount', ['--recursive', container.rootfs]).catch(() => undefined);
      await images.release(lun, id).catch(() => undefined);
    },
  };
}
export type Rootfs = ReturnType<typeof createRootfs>;
