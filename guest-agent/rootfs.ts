/**
 * Root filesystems: the image is a read-only block device that the plane attached (found by its LUN),
 * mounted once for all containers that use it; every container has an overlay of its own above it.
 */
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pollUntil } from '../platform/deadline.ts';
import { type AgentPaths, type ContainerPaths, imageMount } from './paths.ts';
import type { RunProgram } from './run-program.ts';

const DEVICE_TIMEOUT_MS = 15_000;

/** The block device of a LUN on the guest's one virtio-scsi controller, from sysfs: H:C:T:LUN/block/sdX. */
async function deviceOfLun(lun: number): Promise<string | undefined> {
  for (const address of await readdir('/sys/bus/scsi/devices')) {
    if (!/^\d+:\d+:\d+:\d+$/.test(address) || Number(address.split(':')[3]) !== lun) continue;
    const [name] = await readdir(join('/sys/bus/scsi/devices', address, 'block')).catch(() => []);
    if (name) return `/dev/${name}`;
  }
  return undefined;
}

export function createRootfs(deps: { run: RunProgram; paths: AgentPaths }) {
  const { run, paths } = deps;
  const users = new Map<number, Set<string>>();
  const mounting = new Map<number, Promise<void>>();

  async function mountDevice(lun: number): Promise<void> {
    const device = await pollUntil(() => deviceOfLun(lun), {
      timeoutMs: DEVICE_TIMEOUT_MS,
      intervalMs: 10,
      what: `mount image: block device with LUN ${lun}`,
    });
    const target = imageMount(paths, lun);
    await mkdir(target, { recursive: true });
    await run('mount', ['-t', 'erofs', '-o', 'ro', device, target]);
  }

  async function release(lun: number, id: string): Promise<void> {
    const ids = users.get(lun);
    if (!ids?.delete(id) || ids.size > 0) return;
    users.delete(lun);
    mounting.delete(lun);
    await run('umount', [imageMount(paths, lun)]);
  }

  return {
    /** Mounts the container's root filesystem at container.rootfs. */
    async mount(id: string, lun: number, container: ContainerPaths): Promise<void> {
      const ids = users.get(lun) ?? new Set<string>();
      users.set(lun, ids.add(id));
      try {
        let mounted = mounting.get(lun);
        if (!mounted) {
          mounted = mountDevice(lun);
          mounting.set(lun, mounted);
        }
        await mounted;
        for (const directory of [container.upper, container.work, container.rootfs]) {
          await mkdir(directory, { recursive: true });
        }
        const layers = `lowerdir=${imageMount(paths, lun)},upperdir=${container.upper},workdir=${container.work}`;
        await run('mount', ['-t', 'overlay', '-o', layers, 'overlay', container.rootfs]);
      } catch (error) {
        mounting.delete(lun);
        await release(lun, id).catch(() => undefined);
        throw error;
      }
    },
    async unmount(id: string, lun: number, container: ContainerPaths): Promise<void> {
      await run('umount', ['--recursive', container.rootfs]).catch(() => undefined);
      await release(lun, id).catch(() => undefined);
      await rm(container.data, { recursive: true, force: true });
    },
  };
}
export type Rootfs = ReturnType<typeof createRootfs>;
