/**
 * Block devices that the plane attached, found by their LUN: each is mounted once for all containers that use
 * it, and unmounted with the last of them.
 */
import { mkdir, readdir, readFile, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { pollUntil } from '../platform/deadline.ts';
import type { RunProgram } from './run-program.ts';
import { createTurns } from './turns.ts';

const DEVICE_TIMEOUT_MS = 15_000;

export interface DeviceKind {
  /** For messages: `image`. */
  name: string;
  fileSystem: string;
  /** For mount(8). */
  optionsFor(device: { readOnly: boolean }): string;
}

/** The block device of a LUN on the guest's one virtio-scsi controller, from sysfs: H:C:T:LUN/block/sdX. */
async function deviceOfLun(lun: number): Promise<string | undefined> {
  for (const address of await readdir('/sys/bus/scsi/devices')) {
    if (!/^\d+:\d+:\d+:\d+$/.test(address) || Number(address.split(':')[3]) !== lun) continue;
    const [name] = await readdir(join('/sys/bus/scsi/devices', address, 'block')).catch(() => []);
    if (name) return name;
  }
  return undefined;
}

export function createDeviceMounts(deps: { run: RunProgram; directory: string; kind: DeviceKind }) {
  const { run, directory, kind } = deps;
  const users = new Map<number, Set<string>>();
  const inTurn = createTurns<number>();
  const targetOf = (lun: number) => join(directory, String(lun));

  async function mountDevice(lun: number): Promise<void> {
    const device = await pollUntil(() => deviceOfLun(lun), {
      timeoutMs: DEVICE_TIMEOUT_MS,
      intervalMs: 10,
      what: `mount ${kind.name}: block device with LUN ${lun}`,
    });
    const readOnly = (await readFile(`/sys/block/${device}/ro`, 'utf8')).trim() === '1';
    await mkdir(targetOf(lun), { recursive: true });
    const options = kind.optionsFor({ readOnly });
    await run('mount', ['-t', kind.fileSystem, '-o', options, `/dev/${device}`, targetOf(lun)]);
  }

  async function unmountDevice(lun: number): Promise<void> {
    await run('umount', [targetOf(lun)]);
    await rmdir(targetOf(lun));
  }

  return {
    targetOf,
    /** @returns where it is mounted */
    acquire: (lun: number, id: string): Promise<string> =>
      inTurn(lun, async () => {
        const ids = users.get(lun);
        if (ids === undefined) await mountDevice(lun);
        users.set(lun, (ids ?? new Set()).add(id));
        return targetOf(lun);
      }),
    /** Fine for one that does not use it. */
    release: (lun: number, id: string): Promise<void> =>
      inTurn(lun, async () => {
        const ids = users.get(lun);
        if (!ids?.delete(id) || ids.size > 0) return;
        users.delete(lun);
        await unmountDevice(lun);
      }),
    /** Takes over what an earlier agent has mounted. */
    adopt(lun: number, id: string): void {
      users.set(lun, (users.get(lun) ?? new Set()).add(id));
    },
    /** Ends what an earlier agent has mounted and nobody uses. */
    async releaseUnused(): Promise<void> {
      const luns = (await readdir(directory).catch(() => [])).map(Number);
      for (const lun of luns.filter((known) => !users.has(known))) {
        await run('umount', [targetOf(lun)]).catch(() => undefined);
        await rmdir(targetOf(lun)).catch(() => undefined);
      }
    },
  };
}
export type DeviceMounts = ReturnType<typeof createDeviceMounts>;
