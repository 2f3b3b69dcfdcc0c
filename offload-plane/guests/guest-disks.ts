/**
 * Files on the plane's device as SCSI disks of a guest: images read-only, volumes writable. The guest finds a
 * disk by its LUN on the one virtio-scsi controller (id scsi0) that the testbed gives each guest. A volume
 * goes with its last holder, so that another guest can have it; an image stays until its LUN is wanted.
 */
import { OffloadError } from '../../platform/errors.ts';
import { QmpClient } from '../../platform/qmp.ts';
import { createDiskTable, type Disk, type DiskFile } from './disk-table.ts';
import { plugDisk, pluggedDisks, unplugDisk } from './qemu-disks.ts';

export type { DiskFile } from './disk-table.ts';

const QMP_TIMEOUT_MS = 15_000;

export interface GuestDisks {
  /** Attaches the file unless it is attached already; it stays while the holder has it. Gives its LUN. */
  hold(file: DiskFile, holder: string): Promise<number>;
  /** The holder has no disk any more. What it had mounted has to be unmounted. */
  release(holder: string): Promise<void>;
  /** As `release`, of its volumes alone. */
  releaseVolumes(holder: string): Promise<void>;
  /** Detaches a file that nobody holds; one that is not attached is no error. */
  detach(path: string): Promise<void>;
  /** Detaches the volumes that nobody holds: what an earlier plane had attached for containers since gone. */
  detachUnheld(): Promise<void>;
  holdersOf(path: string): string[];
  /** Resolves when QEMU hangs up. */
  readonly lost: Promise<void>;
  close(): Promise<void>;
}

export async function createGuestDisks(guest: string, qmpPath: string): Promise<GuestDisks> {
  const qmp = await QmpClient.connect({ socketPath: qmpPath, timeoutMs: QMP_TIMEOUT_MS });
  const lost = new Promise<void>((resolve) => qmp.once('close', () => resolve()));
  const table = createDiskTable(guest);
  for (const { lun, ...file } of await pluggedDisks(qmp)) table.adopt(file, lun);
  /** The last change under way: disks come and go one after the other. */
  let tail: Promise<unknown> = Promise.resolve();

  function enqueue<T>(change: () => Promise<T>): Promise<T> {
    const result = tail.then(change);
    tail = result.catch(() => undefined);
    return result;
  }

  async function unplug(disk: Disk): Promise<void> {
    await unplugDisk(qmp, disk.lun);
    table.remove(disk);
  }

  async function plug(file: DiskFile): Promise<Disk> {
    const dispensable = table.isFull ? table.dispensable() : undefined;
    if (dispensable) await unplug(dispensable);
    const disk = table.add(file);
    try {
      await plugDisk(qmp, file, disk.lun);
      return disk;
    } catch (error) {
      table.remove(disk);
      throw error;
    }
  }

  async function detachUnheldVolumes(disks: readonly Disk[]): Promise<void> {
    for (const disk of disks) {
      if (!disk.readOnly && disk.holders.size === 0) await unplug(disk);
    }
  }

  const release = (holder: string, disks: () => readonly Disk[]) =>
    enqueue(async () => {
      const held = disks().filter((disk) => disk.holders.delete(holder));
      for (const disk of held) table.touch(disk);
      await detachUnheldVolumes(held);
    });

  return {
    hold: (file, holder) =>
      enqueue(async () => {
        const disk = table.find(file.path) ?? (await plug(file));
        disk.holders.add(holder);
        table.touch(disk);
        return disk.lun;
      }),
    release: (holder) => release(holder, table.list),
    releaseVolumes: (holder) => release(holder, () => table.list().filter((disk) => !disk.readOnly)),
    detach: (path) =>
      enqueue(async () => {
        const disk = table.find(path);
        if (!disk) return;
        if (disk.holders.size > 0) {
          throw new OffloadError(
            'invalid_state',
            `detach ${path}: used in guest ${guest} by ${[...disk.holders].join(', ')}`,
          );
        }
        await unplug(disk);
      }),
    detachUnheld: () => enqueue(() => detachUnheldVolumes(table.list())),
    holdersOf: (path) => [...(table.find(path)?.holders ?? [])],
    lost,
    close: async () => qmp.close(),
  };
}
